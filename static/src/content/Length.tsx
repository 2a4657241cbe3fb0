import type { Parts } from "./types";

/** What an SMS is sent and paid in, and how full its last part is. */
export function Length({ parts }: { parts: Parts | null }) {
  if (parts === null || parts.count === 0) return null;
  const room = parts.units + parts.left;
  const why = parts.foreign
    ? `${parts.encoding}, because of “${parts.foreign}”: fewer characters fit.`
    : `${parts.encoding}, the short alphabet.`;
  return (
    <div className="ce-length" role="group" aria-label="Length">
      <progress aria-label="How full its parts are" max={room} value={parts.units} />
      <p>
        <b>{parts.count === 1 ? "1 part" : `${parts.count} parts`}</b> · {parts.units} characters, {parts.left} left · {why}
      </p>
    </div>
  );
}
