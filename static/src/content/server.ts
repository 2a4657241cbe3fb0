import { call } from "../shared/api";
import type { Boot, Content, Draft, Person, Preview, Variant, Version, Words } from "./types";

const contentUrl = (boot: Boot, rest = "") => `${boot.api}contents/${boot.key}/${rest}`;

export const load = (boot: Boot) => call<Draft>("GET", contentUrl(boot, "draft/"));

export const loadContent = (boot: Boot) => call<Content>("GET", contentUrl(boot));

export const loadVersion = (boot: Boot, number: number) =>
  call<Version>("GET", contentUrl(boot, `versions/${number}/`));

export const save = (boot: Boot, revision: string | null, variants: Variant[]) =>
  call<Draft>("PUT", contentUrl(boot, "draft/"), { revision, variants });

export const rename = (boot: Boot, name: string) => call<Content>("PATCH", contentUrl(boot), { name });

export const publish = (boot: Boot) => call<Content>("POST", contentUrl(boot, "publish/"));

export const preview = (
  boot: Boot,
  words: Words,
  profile: string | null,
  event: string,
  signal: AbortSignal,
) => call<Preview>("POST", contentUrl(boot, "preview/"), { words, profile, event }, signal);

export interface Proof {
  address: string;
  configuration: string;
  profile: string | null;
  event: string;
  treatment: string;
  locale: string;
}

export const sendProof = (boot: Boot, proof: Proof) =>
  call<{ detail: string }>("POST", contentUrl(boot, "proof/"), proof);

interface Profile {
  id: string;
  name: string;
  attributes: Record<string, unknown>;
}

/** The newest people, and whoever has exactly this address or number. */
export async function findPeople(boot: Boot, query: string, signal: AbortSignal): Promise<Person[]> {
  const asked = [`limit=50`, ...(query.length > 2 ? [`limit=5&q=${encodeURIComponent(query)}`] : [])];
  const pages = await Promise.all(
    asked.map((each) =>
      call<{ results: Profile[] }>("GET", `${boot.api}profiles/?${each}`, undefined, signal),
    ),
  );
  const people = new Map<string, Person>();
  for (const { id, name, attributes } of pages.reverse().flatMap((page) => page.results)) {
    const email = typeof attributes.email === "string" ? attributes.email : "";
    people.set(id, { id, name, detail: email === name ? "" : email });
  }
  const wanted = query.toLowerCase();
  const exact = new Set(query.length > 2 ? pages[0]!.results.map((profile) => profile.id) : []);
  return [...people.values()]
    .filter(({ id, name, detail }) => exact.has(id) || `${name} ${detail}`.toLowerCase().includes(wanted))
    .slice(0, 8);
}

export function onlyWords(words: Words): Words {
  const { subject, preheader, mjml, html, text, image_url, link_url, columns } = words;
  return { subject, preheader, mjml, html: mjml.trim() ? "" : html, text, image_url, link_url, columns };
}
