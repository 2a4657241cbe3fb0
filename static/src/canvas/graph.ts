/** Changes of a graph as pure functions: each takes a graph and returns another one. */

import type { Activity, Boxes, Config, Graph, Kind, Link, Port, Value } from "./types";

/** Where something can be put: on a line, or at an exit that nothing follows (`to` is null). */
export interface Place {
  from: string;
  port: string;
  to: string | null;
}

export function activityOf(graph: Graph, id: string): Activity | undefined {
  return graph.activities.find((activity) => activity.id === id);
}

/** What stands for a place of its own: a new entry, or an exit, to which no line leads. */
export type Loose = "entry" | "exit";

/** An id that no box has: the kind, with a number when it is taken. */
export function freeId(graph: Graph, kind: string): string {
  const taken = new Set(graph.activities.map((activity) => activity.id));
  const base = kind.replace(/[^a-z0-9_-]/g, "-").slice(0, 50) || "box";
  for (let n = 1; ; n += 1) {
    const id = n === 1 ? base : `${base}-${n}`;
    if (!taken.has(id)) return id;
  }
}

/** The exits of a box as far as they are known, and those that only links still name. */
export function portsOf(graph: Graph, boxes: Boxes, kinds: Map<string, Kind>, activity: Activity): Port[] {
  const known = boxes[activity.id]?.ports ?? kinds.get(activity.kind)?.ports ?? [];
  const ids = new Set(known.map((port) => port.id));
  const lost = graph.links.filter((link) => link.from === activity.id && !ids.has(link.port));
  return [...known, ...lost.map((link) => ({ id: link.port, label: "", is_optional: true }))];
}

/** The kind that ends a walk: one without exits and without anything to fill in. */
export function endKind(kinds: Iterable<Kind>): Kind | undefined {
  return [...kinds].find((kind) => !kind.is_entry && !kind.is_exit && kind.ports.length === 0 && kind.fields.length === 0);
}

function made(graph: Graph, kind: Kind): Activity {
  return { id: freeId(graph, kind.kind), kind: kind.kind, config: structuredClone(kind.defaults) };
}

function withEnds(graph: Graph, id: string, ports: Port[], end: Kind | undefined): Graph {
  if (!end) return graph;
  let next = graph;
  for (const port of ports) {
    const activity = made(next, end);
    next = {
      activities: [...next.activities, activity],
      links: [...next.links, { from: id, port: port.id, to: activity.id }],
    };
  }
  return next;
}

/** Put a new box on a line. What followed now follows its first exit; its other exits end. */
export function insert(graph: Graph, kind: Kind, place: Place, end: Kind | undefined): [Graph, string] {
  const activity = made(graph, kind);
  const [first, ...others] = kind.ports;
  const links = graph.links.filter((link) => !isAt(link, place));
  links.push({ from: place.from, port: place.port, to: activity.id });
  if (first && place.to) links.push({ from: activity.id, port: first.id, to: place.to });
  const drawn = { activities: [...graph.activities, activity], links };
  const open = place.to ? others : kind.ports;
  const ended = withEnds(drawn, activity.id, open, end);
  return [first ? ended : withoutBareEnd(ended, place.to), activity.id];
}

/** A box that stands beside the others: no line leads to it. */
export function addExit(graph: Graph, kind: Kind): [Graph, string] {
  const activity = made(graph, kind);
  return [{ ...graph, activities: [...graph.activities, activity] }, activity.id];
}

/** Let people in: a new entry, which leads to the first box that nothing leads to, unless `isExit`. */
export function addEntry(
  graph: Graph,
  kind: Kind,
  end: Kind | undefined,
  isExit: (id: string) => boolean,
): [Graph, string] {
  const activity = made(graph, kind);
  const root = rootsOf(graph).find((id) => !isExit(id));
  const [first, ...others] = kind.ports;
  const drawn: Graph = {
    activities: [activity, ...graph.activities],
    links: root && first ? [...graph.links, { from: activity.id, port: first.id, to: root }] : graph.links,
  };
  return [withEnds(drawn, activity.id, root ? others : kind.ports, end), activity.id];
}

/** Lead an exit to a box that exists. An end that only this exit led to goes away. */
export function connect(graph: Graph, from: string, port: string, to: string): Graph {
  const before = graph.links.find((link) => link.from === from && link.port === port);
  const links = graph.links.filter((link) => link !== before);
  links.push({ from, port, to });
  const drawn = { ...graph, links };
  return before && before.to !== to ? withoutBareEnd(drawn, before.to) : drawn;
}

export function disconnect(graph: Graph, from: string, port: string): Graph {
  return { ...graph, links: graph.links.filter((link) => link.from !== from || link.port !== port) };
}

/** The exits of a box that lead somewhere, and how many boxes would go if the others were dropped with it. */
export function sides(graph: Graph, id: string): { link: Link; removed: number }[] {
  const out = graph.links.filter((link) => link.from === id && link.to !== id);
  return out.map((link) => ({
    link,
    removed: graph.activities.length - remove(graph, id, link.port).activities.length - 1,
  }));
}

/**
 * Take a box out and join what was around it. Of a box with several exits, `keep` says which one goes on;
 * what only the others led to goes away with it. Without `keep` the line ends before the box.
 */
export function remove(graph: Graph, id: string, keep: string | null): Graph {
  const roots = rootsOf(graph);
  const next = keep === null ? null : graph.links.find((link) => link.from === id && link.port === keep);
  const links: Link[] = [];
  for (const link of graph.links) {
    if (link.from === id) continue;
    if (link.to !== id) links.push(link);
    else if (next && next.to !== id && next.to !== link.from) links.push({ ...link, to: next.to });
  }
  const drawn: Graph = { activities: graph.activities.filter((activity) => activity.id !== id), links };
  if (!hasWayIn(graph, id)) return drawn; // what hung on an entry stays, for the next entry to lead to
  const after = reachable(drawn, roots);
  const lost = [...reachable(graph, roots)].filter((each) => !after.has(each));
  return without(drawn, new Set(lost));
}

/** A copy of the box on the line behind its first exit. */
export function duplicate(graph: Graph, activity: Activity, ports: Port[], end: Kind | undefined): [Graph, string] {
  const copy = { ...structuredClone(activity), id: freeId(graph, activity.kind) };
  const [first, ...others] = ports;
  const link = first && graph.links.find((each) => each.from === activity.id && each.port === first.id);
  const links = graph.links.filter((each) => each !== link);
  if (first) links.push({ from: activity.id, port: first.id, to: copy.id });
  if (first && link) links.push({ from: copy.id, port: first.id, to: link.to });
  const drawn = { activities: [...graph.activities, copy], links };
  return [withEnds(drawn, copy.id, link ? others : ports, end), copy.id];
}

/** Other settings. Where a row of a list was an exit and is gone, its line goes too. */
export function configure(graph: Graph, id: string, config: Config): Graph {
  const old = activityOf(graph, id);
  if (!old) return graph;
  const kept = rowIds(config);
  const gone = [...rowIds(old.config)].filter((row) => !kept.has(row));
  let next: Graph = {
    ...graph,
    activities: graph.activities.map((activity) => (activity.id === id ? { ...activity, config } : activity)),
  };
  for (const port of gone) {
    const link = next.links.find((each) => each.from === id && each.port === port);
    if (link) next = withoutBareEnd(disconnect(next, id, port), link.to);
  }
  return next;
}

export function rename(graph: Graph, id: string, label: string): Graph {
  const activities = graph.activities.map((activity) => {
    if (activity.id !== id) return activity;
    const { label: _old, ...rest } = activity;
    return label ? { ...rest, label } : rest;
  });
  return { ...graph, activities };
}

/** The ids of all rows in lists of objects: a row that has one may be an exit. */
function rowIds(config: Config): Set<string> {
  const ids = new Set<string>();
  for (const value of Object.values(config)) {
    if (!Array.isArray(value)) continue;
    for (const row of value) {
      const id = isRecord(row) ? row["id"] : undefined;
      if (typeof id === "string") ids.add(id);
    }
  }
  return ids;
}

export function isRecord(value: Value | undefined): value is { [name: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isAt(link: Link, place: Place): boolean {
  return link.from === place.from && link.port === place.port;
}

function hasWayIn(graph: Graph, id: string): boolean {
  return graph.links.some((link) => link.to === id);
}

/** Remove a box without settings that nothing leads to and that leads nowhere: an end that was left over. */
function withoutBareEnd(graph: Graph, id: string | null): Graph {
  const activity = id === null ? undefined : activityOf(graph, id);
  const isBare = activity && Object.keys(activity.config).length === 0;
  if (!isBare || graph.links.some((link) => link.from === id || link.to === id)) return graph;
  return without(graph, new Set([activity.id]));
}

function without(graph: Graph, ids: Set<string>): Graph {
  return {
    activities: graph.activities.filter((activity) => !ids.has(activity.id)),
    links: graph.links.filter((link) => !ids.has(link.from) && !ids.has(link.to)),
  };
}

/** The boxes that nothing leads to. */
function rootsOf(graph: Graph): string[] {
  const led = new Set(graph.links.map((link) => link.to));
  return graph.activities.map((activity) => activity.id).filter((id) => !led.has(id));
}

function reachable(graph: Graph, roots: string[]): Set<string> {
  const frontier = [...roots];
  const found = new Set(frontier);
  for (let id = frontier.pop(); id !== undefined; id = frontier.pop()) {
    for (const link of graph.links) {
      if (link.from !== id || found.has(link.to)) continue;
      found.add(link.to);
      frontier.push(link.to);
    }
  }
  return found;
}
