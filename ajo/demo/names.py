"""First names, last names, home towns and telephone numbers, by country."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class City:
    name: str
    time_zone: str
    weight: int


@dataclass(frozen=True, slots=True)
class Country:
    """`phones` are stems of ranges that regulators keep free for fiction; `digits` follow each stem."""

    code: str
    language: str
    weight: int
    cities: tuple[City, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    phones: tuple[str, ...] = field(default=())
    digits: int = 3

    def phone_numbers(self) -> Iterator[str]:
        """Every fictional number once, in E.164, the stems taken in turn."""
        for number in range(10**self.digits):
            for stem in self.phones:
                yield f"{stem}{number:0{self.digits}d}"


def _cities(time_zone: str, **weights: int) -> tuple[City, ...]:
    return tuple(City(name.replace("_", " "), time_zone, weight) for name, weight in weights.items())


_GB_FIRST = (
    "Amelia Olivia Isla Ava Ivy Freya Florence Willow Grace Ella Poppy Evie Daisy Rosie Sophie Harriet Imogen Beatrice"
    " Niamh Priya Aisha Zara Mei Nadia Ruth Eleanor Hannah Lucy Megan Bronwen Noah George Oliver Arthur Leo Theo Jack"
    " Henry Archie Finn Rory Ewan Callum Alfie Harry Thomas Samuel Dylan Rhys Kofi Omar Ravi Imran Adebayo Marcus"
    " Edward Tobias Hugh Jamie Owen"
)
_GB_LAST = (
    "Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Robinson Wright Thompson Evans Walker White Roberts"
    " Green Hall Wood Jackson Clarke Khan Hughes Edwards Turner Hill Moore Ward Cooper Baker Morris Harrison Ahmed"
    " Campbell Stewart Fraser MacLeod Okafor Mensah Begum Singh Kaur Chen Nguyen Kowalski Whitaker Pemberton Ashworth"
    " Holloway Marlowe Fairbairn Sutcliffe Trevelyan Penrose Lockhart Thorne Hargreaves Ellery Winslow Farrow"
)
_DE_FIRST = (
    "Emma Mia Hannah Emilia Sophia Lina Marie Clara Lea Frieda Johanna Greta Katharina Anke Ayşe Svenja Noah Matteo"
    " Finn Elias Leon Paul Emil Jonas Anton Jakob Moritz Henrik Torben Mehmet Lukas Felix Björn Jürgen Matthias Käthe"
)
_DE_LAST = (
    "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf"
    " Neumann Schwarz Zimmermann Krüger Hartmann Lange Krause Lehmann Köhler Yılmaz Petersen Hansen Brandt Vogel Winter"
)
_FR_FIRST = (
    "Louise Jade Ambre Alba Emma Rose Alice Chloé Inès Léa Manon Camille Élodie Fatou Amélie Gabriel Léo Raphaël Louis"
    " Arthur Jules Adam Maël Lucas Hugo Nathan Théo Étienne Benoît Karim"
)
_FR_LAST = (
    "Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefèvre Leroy Roux David"
    " Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Müller Faure Garnier Chevalier"
)
_IE_LAST = "Murphy Kelly O'Sullivan Walsh Byrne Ryan O'Connor O'Neill Doyle McCarthy Gallagher"
_US_FIRST = (
    "Emma Charlotte Sofia Evelyn Harper Camila Luna Abigail Nora Hazel Madison Aaliyah Jasmine Liam James Elijah Mateo"
    " Lucas Ezra Miles Wyatt Carter Jaxon Andre Diego Caleb Hunter Wei"
)
_US_LAST = (
    "Smith Johnson Williams Brown Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Anderson Thomas Lee"
    " Perez Thompson Harris Sanchez Clark Ramirez Lewis Robinson Young Allen King Scott Torres Nguyen Flores"
)
_US_AREAS = (
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 251 252"
    " 253 254 256 260 262 267 269 270 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323"
)
_GB_AREAS = "113 114 115 116 117 118 121 131 141 151 161"

COUNTRIES = (
    Country(
        code="GB",
        language="en",
        weight=58,
        cities=_cities(
            "Europe/London",
            London=18, Manchester=9, Leeds=8, Bristol=7, York=7, Newcastle=7, Edinburgh=6, Glasgow=5, Sheffield=5,
            Liverpool=5, Birmingham=5, Hull=4, Whitby=4, Scarborough=4, Nottingham=4, Cardiff=3, Brighton=3, Belfast=2,
        ),
        first_names=tuple(_GB_FIRST.split()),
        last_names=tuple(_GB_LAST.split()),
        phones=("+442079460", "+441914980", "+442920180", *(f"+44{area}4960" for area in _GB_AREAS.split())),
    ),
    Country(
        code="DE",
        language="de",
        weight=18,
        cities=_cities("Europe/Berlin", Berlin=8, Hamburg=9, Lübeck=6, Kiel=4, Bremen=4, Hannover=3, Köln=4, München=3),
        first_names=tuple(_DE_FIRST.split()),
        last_names=tuple(_DE_LAST.split()),
        phones=("+493023125", "+494066969", "+492214710", "+496990009", "+498999998"),
    ),
    Country(
        code="FR",
        language="fr",
        weight=10,
        cities=_cities("Europe/Paris", Paris=9, Lille=5, Lyon=4, Nantes=3, Rennes=3, Bordeaux=2, Strasbourg=2),
        first_names=tuple(_FR_FIRST.split()),
        last_names=tuple(_FR_LAST.split()),
        phones=("+3319900",),
        digits=4,
    ),
    Country(
        code="IE",
        language="en",
        weight=6,
        cities=_cities("Europe/Dublin", Dublin=8, Cork=4, Galway=3, Limerick=2),
        first_names=tuple(f"{_GB_FIRST} Saoirse Aoife Ciara Cian Oisín Conor".split()),
        last_names=tuple(_IE_LAST.split()),
    ),
    Country(
        code="US",
        language="en",
        weight=8,
        cities=(
            *_cities("America/New_York", New_York=8, Boston=5, Philadelphia=3, Portland=2),
            *_cities("America/Chicago", Chicago=5, Minneapolis=2, Austin=2),
            *_cities("America/Los_Angeles", Seattle=4, San_Francisco=3),
        ),
        first_names=tuple(_US_FIRST.split()),
        last_names=tuple(_US_LAST.split()),
        phones=tuple(f"+1{area}55501" for area in _US_AREAS.split()),
        digits=2,
    ),
)  # fmt: skip
