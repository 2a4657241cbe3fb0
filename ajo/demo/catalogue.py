"""What Harbour & Pine sells and runs: products with sizes and stock, shops, parks and their rides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

CURRENCY = "GBP"
TIERS = ("Member", "Silver", "Gold")
CLOTHING_SIZES = ("XS", "S", "M", "L", "XL", "XXL")
ONE_SIZE = "One size"
HOMEPAGE = "https://harbour-and-pine.example"


@dataclass(frozen=True, slots=True)
class Product:
    """`stock` is the number of pieces in the warehouse for each size; 0 means sold out."""

    id: str
    name: str
    category: str
    price: Decimal
    stock: Mapping[str, int]

    @property
    def price_text(self) -> str:
        return f"£{self.price:.2f}"

    @property
    def link(self) -> str:
        return f"{HOMEPAGE}/products/{self.id.lower()}"

    @property
    def picture(self) -> str:
        """Below the product's own address; the drawings are in `static/client/demo`."""
        return f"/static/demo/{self.id.lower()}.svg"

    def size_for(self, clothing_size: str) -> str:
        """The size this person would take: theirs where the product comes in it."""
        return clothing_size if clothing_size in self.stock else next(iter(self.stock))


@dataclass(frozen=True, slots=True)
class Shop:
    key: str
    name: str
    city: str
    country: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Ride:
    key: str
    name: str
    park: str
    kind: str
    min_height_cm: int
    state: Literal["open", "maintenance", "closed for the season"] = "open"


@dataclass(frozen=True, slots=True)
class Park:
    key: str
    name: str
    country: str
    time_zone: str
    rides: tuple[Ride, ...]

    @property
    def open_rides(self) -> tuple[Ride, ...]:
        return tuple(ride for ride in self.rides if ride.state == "open")


def _clothing(number: int, name: str, category: str, price: str, *stock: int) -> Product:
    return Product(
        f"HP-{number}", name, category, Decimal(price), dict(zip(CLOTHING_SIZES, stock, strict=True))
    )


def _thing(number: int, name: str, category: str, price: str, stock: int) -> Product:
    return Product(f"HP-{number}", name, category, Decimal(price), {ONE_SIZE: stock})


# The sweater of the parking-lot story: sold out in the sizes that most people wear.
SWEATER = _clothing(1001, "Skipper Wool Sweater", "Knitwear", "89.00", 14, 9, 0, 0, 22, 6)

PRODUCTS = (
    SWEATER,
    _clothing(1002, "Breton Stripe Top", "Tops", "34.00", 40, 62, 71, 55, 38, 12),
    _clothing(1003, "Harbour Waxed Jacket", "Outerwear", "165.00", 8, 15, 21, 18, 9, 3),
    _clothing(1004, "Fisherman Cardigan", "Knitwear", "98.00", 11, 18, 24, 20, 12, 4),
    _clothing(1005, "Pine Forest Fleece", "Outerwear", "72.00", 19, 33, 41, 37, 25, 10),
    _clothing(1006, "Slipway Chinos", "Trousers", "58.00", 22, 35, 44, 39, 21, 7),
    _clothing(1007, "Squall Raincoat", "Outerwear", "129.00", 6, 12, 0, 14, 8, 2),
    _clothing(1008, "Cove Linen Shirt", "Tops", "49.50", 17, 28, 31, 29, 15, 6),
    _clothing(1009, "Dockside Work Shirt", "Tops", "54.00", 13, 26, 35, 33, 19, 8),
    _clothing(1010, "Northwind Down Gilet", "Outerwear", "110.00", 9, 16, 20, 17, 11, 5),
    _clothing(1011, "Lighthouse Pyjamas", "Nightwear", "46.00", 24, 36, 38, 30, 16, 9),
    _clothing(1012, "Tidewater Swim Shorts", "Swimwear", "32.00", 20, 34, 42, 36, 18, 7),
    _thing(2001, "Ribbed Wool Beanie", "Accessories", "24.00", 180),
    _thing(2002, "Merino Walking Socks", "Accessories", "16.50", 320),
    _thing(2003, "Lambswool Scarf", "Accessories", "39.00", 140),
    _thing(2004, "Canvas Tote", "Accessories", "18.00", 260),
    _thing(2005, "Leather Deck Belt", "Accessories", "36.00", 90),
    _thing(3001, "Driftwood Candle", "Home", "22.00", 210),
    _thing(3002, "Enamel Mug", "Home", "12.50", 400),
    _thing(3003, "Herringbone Blanket", "Home", "79.00", 65),
    _thing(3004, "Rope Doorstop", "Home", "19.00", 120),
    _thing(3005, "Stoneware Bowl", "Home", "17.00", 230),
    _thing(3006, "Storm Lantern", "Home", "45.00", 75),
    _thing(3007, "Tide Table Print", "Home", "28.00", 110),
    _thing(4001, "Plush Kraken", "Toys", "21.00", 300),
    _thing(4002, "Wooden Tugboat", "Toys", "26.00", 160),
    _thing(4003, "Smugglers Board Game", "Toys", "33.00", 95),
    _thing(4004, "Ride Photo Frame", "Toys", "14.00", 220),
)

SHOPS = (
    Shop("london", "Harbour & Pine London", "London", "GB", 51.5117, -0.1240),
    Shop("manchester", "Harbour & Pine Manchester", "Manchester", "GB", 53.4839, -2.2446),
    Shop("bristol", "Harbour & Pine Bristol", "Bristol", "GB", 51.4545, -2.5879),
    Shop("edinburgh", "Harbour & Pine Edinburgh", "Edinburgh", "GB", 55.9533, -3.1883),
    Shop("whitby", "Harbour & Pine Whitby", "Whitby", "GB", 54.4863, -0.6133),
    Shop("dublin", "Harbour & Pine Dublin", "Dublin", "IE", 53.3438, -6.2546),
    Shop("hamburg", "Harbour & Pine Hamburg", "Hamburg", "DE", 53.5503, 9.9920),
    Shop("luebeck", "Harbour & Pine Lübeck", "Lübeck", "DE", 53.8655, 10.6866),
    Shop("paris", "Harbour & Pine Paris", "Paris", "FR", 48.8606, 2.3376),
)

PARKS = (
    Park(
        "pinewater",
        "Pinewater Park",
        "GB",
        "Europe/London",
        (
            Ride("krakens-wake", "Kraken's Wake", "pinewater", "Roller coaster", 140),
            Ride("the-undertow", "The Undertow", "pinewater", "Water ride", 120),
            Ride("lamplighter", "Lamplighter", "pinewater", "Dark ride", 100),
            Ride("gulls-flight", "Gull's Flight", "pinewater", "Swing ride", 110),
            Ride("smugglers-run", "Smugglers' Run", "pinewater", "Mine train", 105),
            Ride("pilot-boat", "Pilot Boat", "pinewater", "Family ride", 0),
            Ride("treetop-railway", "Treetop Railway", "pinewater", "Family ride", 0),
            Ride("foghorn", "Foghorn", "pinewater", "Drop tower", 130, "maintenance"),
            Ride("rockpool-splash", "Rockpool Splash", "pinewater", "Splash pad", 0, "closed for the season"),
        ),
    ),
    Park(
        "hafenwald",
        "Hafenwald",
        "DE",
        "Europe/Berlin",
        (
            Ride("klabauter", "Klabauter", "hafenwald", "Roller coaster", 140),
            Ride("sturmflut", "Sturmflut", "hafenwald", "Water ride", 120),
            Ride("leuchtfeuer", "Leuchtfeuer", "hafenwald", "Drop tower", 130),
            Ride("nebelwald", "Nebelwald", "hafenwald", "Dark ride", 100),
            Ride("moewenflug", "Möwenflug", "hafenwald", "Swing ride", 110),
            Ride("kuttertour", "Kuttertour", "hafenwald", "Family ride", 0),
            Ride("eisbrecher", "Eisbrecher", "hafenwald", "Mine train", 105, "maintenance"),
        ),
    ),
)
