/**
 * Where everything stands. The map is always tidy: nobody moves boxes by hand.
 *
 * A box stands centred over what only it leads to: first its exits side by side, in their order, each in a lane of
 * its own; below them, one under the other, the boxes in which several of its ways meet again. So lines never cross
 * boxes, and a branch never overlaps another, whatever is drawn.
 */

import type { Graph, Port } from "./types";

export const CARD = { width: 264, height: 76 };
const LANE = 132; // of an exit whose line leads elsewhere, or nowhere yet
const GAP = 40; // between columns
const PLAIN = 68; // below a box with one exit without words
const FORK = 112; // below a box whose lines part or carry words
const MEET = 40; // above a box in which lines meet
const PART = 22; // how far below a box its lines part

export interface Spot {
  x: number;
  y: number;
}

/** One exit, drawn: the line as an SVG path, and where its words and its "+" stand. */
export interface Line {
  from: string;
  port: Port;
  to: string | null;
  path: string;
  label: Spot;
  plus: Spot;
}

export interface Layout {
  boxes: Map<string, Spot>;
  lines: Line[];
  /** The boxes in reading order: as they are met when one follows the lines. */
  order: string[];
  /** For the list: how many branches deep a box stands. */
  depth: Map<string, number>;
  /** For the list: the exit of a fork that alone leads to a box. */
  via: Map<string, { from: string; port: Port }>;
}

interface Block {
  width: number;
  height: number;
}

interface Column {
  port: Port;
  /** A box that only this exit leads to. */
  child: string | null;
  width: number;
}

/** `entry` is the box where people come in: it stands first, what is not connected to it stands beside. */
export function layout(graph: Graph, portsOf: (id: string) => Port[], entry?: string): Layout {
  const tree = new Tree(graph, portsOf, entry);
  const result: Layout = { boxes: new Map(), lines: [], order: [], depth: new Map(), via: new Map() };
  const lanes = new Map<string, number>();
  const bounds = new Map<string, { left: number; right: number }>();

  const place = (id: string, left: number, top: number, depth: number): void => {
    const block = tree.block(id);
    const centre = left + block.width / 2;
    result.boxes.set(id, { x: centre - CARD.width / 2, y: top });
    result.order.push(id);
    result.depth.set(id, depth);
    bounds.set(id, { left, right: left + block.width });
    const columns = tree.columns(id);
    const below = top + CARD.height + tree.gap(id);
    let x = centre - rowWidth(columns.map((column) => column.width)) / 2;
    for (const column of columns) {
      lanes.set(`${id} ${column.port.id}`, x + column.width / 2);
      if (column.child) {
        const child = tree.block(column.child);
        const isFork = columns.length > 1;
        if (isFork) result.via.set(column.child, { from: id, port: column.port });
        place(column.child, x + (column.width - child.width) / 2, below, depth + (isFork ? 1 : 0));
      }
      x += column.width + GAP;
    }
    let y = below + tree.columnsHeight(id);
    for (const join of tree.joins(id)) {
      const child = tree.block(join);
      y += MEET;
      place(join, centre - child.width / 2, y, depth);
      y += child.height;
    }
  };

  // The entry never moves, however broad the map below it becomes.
  let left = tree.roots[0] === undefined ? 0 : -tree.block(tree.roots[0]).width / 2;
  for (const root of tree.roots) {
    place(root, left, 0, 0);
    left += tree.block(root).width + GAP * 2;
  }
  for (const id of result.order) {
    for (const port of portsOf(id)) {
      const lane = lanes.get(`${id} ${port.id}`) ?? 0;
      const to = tree.target(id, port.id);
      result.lines.push(drawn(id, port, to, lane, tree, result.boxes, bounds));
    }
  }
  return result;
}

function drawn(
  from: string,
  port: Port,
  to: string | null,
  lane: number,
  tree: Tree,
  boxes: Map<string, Spot>,
  bounds: Map<string, { left: number; right: number }>,
): Line {
  const source = boxes.get(from)!;
  const x = source.x + CARD.width / 2;
  const bottom = source.y + CARD.height;
  const parts = bottom + PART;
  const isFork = tree.gap(from) === FORK;
  const label = { x: lane, y: parts + 18 };
  const plus = { x: lane, y: isFork ? parts + 46 : bottom + PLAIN / 2 };
  const points: Spot[] = [{ x, y: bottom }];
  if (lane !== x) points.push({ x, y: parts }, { x: lane, y: parts });
  const target = to === null ? undefined : boxes.get(to);
  if (!target) {
    points.push({ x: lane, y: plus.y - 12 });
  } else if (to !== null && tree.isBack(from, port.id)) {
    // Around everything that stands below the box to which it returns.
    const side = Math.max(bounds.get(to)!.right, lane) + GAP / 2;
    const turn = plus.y + 22;
    points.push({ x: lane, y: turn }, { x: side, y: turn }, { x: side, y: target.y + CARD.height / 2 });
    points.push({ x: target.x + CARD.width, y: target.y + CARD.height / 2 });
  } else {
    const middle = target.x + CARD.width / 2;
    const meets = target.y - MEET / 2 - 4;
    if (middle !== lane) points.push({ x: lane, y: meets }, { x: middle, y: meets });
    points.push({ x: middle, y: target.y });
  }
  return { from, port, to, path: rounded(points), label, plus };
}

/** A path of straight lines whose corners are rounded. */
function rounded(points: Spot[], radius = 10): string {
  const [start, ...rest] = points as [Spot, ...Spot[]];
  let path = `M${start.x},${start.y}`;
  rest.forEach((point, index) => {
    const before = points[index]!;
    const after = rest[index + 1];
    if (!after) {
      path += `L${point.x},${point.y}`;
      return;
    }
    const enter = towards(point, before, radius);
    const leave = towards(point, after, radius);
    path += `L${enter.x},${enter.y}Q${point.x},${point.y} ${leave.x},${leave.y}`;
  });
  return path;
}

function towards(from: Spot, to: Spot, most: number): Spot {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  if (length === 0) return from;
  const part = Math.min(most, length / 2) / length;
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}

function rowWidth(widths: number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + GAP * Math.max(0, widths.length - 1);
}

/** Who stands below whom: the dominator tree of the graph without its loops. */
class Tree {
  readonly roots: string[];
  private readonly targets = new Map<string, string>();
  private readonly back = new Set<string>();
  private readonly home = new Map<string, string>();
  private readonly parent = new Map<string, string | null>();
  private readonly level = new Map<string, number>();
  private readonly ways = new Map<string, string[]>();
  private readonly below = new Map<string, string[]>();
  private readonly blocks = new Map<string, Block>();
  private readonly rows = new Map<string, Column[]>();

  constructor(
    graph: Graph,
    private readonly portsOf: (id: string) => Port[],
    entry?: string,
  ) {
    const known = new Set(graph.activities.map((activity) => activity.id));
    const led = new Set<string>();
    for (const link of graph.links) {
      if (!known.has(link.from) || !known.has(link.to)) continue;
      this.targets.set(`${link.from} ${link.port}`, link.to);
      if (link.from !== link.to) led.add(link.to);
    }
    const order: string[] = [];
    const state = new Map<string, "open" | "done">();
    this.roots = [];
    const start = (id: string): void => {
      if (state.has(id)) return;
      this.roots.push(id);
      this.home.set(id, id);
      this.walk(id, id, state, order);
    };
    if (entry !== undefined && known.has(entry)) start(entry);
    for (const id of known) if (!led.has(id)) start(id);
    for (const id of known) start(id); // loops that nothing leads into
    this.settle(order.reverse());
  }

  target(id: string, port: string): string | null {
    return this.targets.get(`${id} ${port}`) ?? null;
  }

  isBack(id: string, port: string): boolean {
    return this.back.has(`${id} ${port}`);
  }

  gap(id: string): number {
    const ports = this.portsOf(id);
    if (ports.length === 0) return 0;
    return ports.length > 1 || ports.some((port) => port.label) || this.isBack(id, ports[0]!.id) ? FORK : PLAIN;
  }

  /** The exits side by side. */
  columns(id: string): Column[] {
    const known = this.rows.get(id);
    if (known) return known;
    const ports = this.portsOf(id);
    const lane = ports.length > 1 ? LANE : CARD.width;
    const columns = ports.map((port) => {
      const to = this.target(id, port.id);
      const child = to !== null && this.isOwn(id, port.id, to) ? to : null;
      return { port, child, width: child ? this.block(child).width : lane };
    });
    this.rows.set(id, columns);
    return columns;
  }

  columnsHeight(id: string): number {
    return Math.max(0, ...this.columns(id).map(({ child }) => (child ? this.block(child).height : 0)));
  }

  /** The boxes below in which several ways from here meet. */
  joins(id: string): string[] {
    return (this.below.get(id) ?? []).filter((child) => this.ways.get(child)!.length > 1);
  }

  block(id: string): Block {
    const found = this.blocks.get(id);
    if (found) return found;
    const joins = this.joins(id).map((join) => this.block(join));
    const columns = rowWidth(this.columns(id).map((column) => column.width));
    const block = {
      width: Math.max(CARD.width, columns, ...joins.map((join) => join.width)),
      height:
        CARD.height +
        this.gap(id) +
        this.columnsHeight(id) +
        joins.reduce((sum, join) => sum + MEET + join.height, 0),
    };
    this.blocks.set(id, block);
    return block;
  }

  private isOwn(id: string, port: string, to: string): boolean {
    return !this.isBack(id, port) && this.parent.get(to) === id && this.ways.get(to)!.length === 1;
  }

  /** Depth first: notes the lines that lead back or into another part, and writes each box after all that follow. */
  private walk(id: string, root: string, state: Map<string, "open" | "done">, order: string[]): void {
    state.set(id, "open");
    for (const port of [...this.portsOf(id)].reverse()) {
      const to = this.target(id, port.id);
      if (to === null) continue;
      if (!state.has(to)) this.home.set(to, root);
      if (state.get(to) === "open" || this.home.get(to) !== root) {
        this.back.add(`${id} ${port.id}`);
        continue;
      }
      this.ways.set(to, [...(this.ways.get(to) ?? []), id]);
      if (!state.has(to)) this.walk(to, root, state, order);
    }
    state.set(id, "done");
    order.push(id);
  }

  private settle(order: string[]): void {
    for (const id of order) {
      const ways = this.ways.get(id) ?? [];
      this.ways.set(id, ways);
      const parent = this.home.get(id) === id ? null : ways.reduce((one, other) => this.common(one, other));
      this.parent.set(id, parent);
      this.level.set(id, parent === null ? 0 : this.level.get(parent)! + 1);
      if (parent !== null) this.below.set(parent, [...(this.below.get(parent) ?? []), id]);
    }
  }

  /** The last box through which both are reached. */
  private common(one: string, other: string): string {
    while (one !== other) {
      if (this.level.get(one)! >= this.level.get(other)!) one = this.parent.get(one)!;
      else other = this.parent.get(other)!;
    }
    return one;
  }
}
