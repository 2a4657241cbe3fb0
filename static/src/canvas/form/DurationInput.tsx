interface Props {
  id: string;
  value: string;
  onChange: (value: string) => void;
}

const UNITS: [string, number][] = [
  ["seconds", 1],
  ["minutes", 60],
  ["hours", 3_600],
  ["days", 86_400],
];

/** A length of time as a number and a unit; written as the server reads it: "3 04:00:00". */
export function DurationInput({ id, value, onChange, ...rest }: Props) {
  const seconds = parsed(value);
  const [unit, length] = [...UNITS].reverse().find(([, each]) => seconds > 0 && seconds % each === 0) ?? UNITS[1]!;
  const amount = seconds / length;
  return (
    <span className="jc-duration">
      <input
        {...rest}
        id={id}
        type="number"
        min={0}
        value={amount}
        onChange={(event) => onChange(printed((event.target.valueAsNumber || 0) * length))}
      />
      <select
        aria-label="Unit"
        value={unit}
        onChange={(event) => onChange(printed(amount * UNITS.find(([each]) => each === event.target.value)![1]))}
      >
        {UNITS.map(([each]) => (
          <option key={each}>{each}</option>
        ))}
      </select>
    </span>
  );
}

function parsed(value: string): number {
  const found = /^(?:(\d+)(?: days?,)? )?(\d+):(\d+):(\d+)/.exec(value);
  if (!found) return 0;
  const [days = 0, hours = 0, minutes = 0, rest = 0] = found.slice(1).map((part) => Number(part ?? 0));
  return days * 86_400 + hours * 3_600 + minutes * 60 + rest;
}

function printed(seconds: number): string {
  const two = (n: number): string => String(Math.floor(n)).padStart(2, "0");
  const clock = [seconds % 86_400 / 3_600, seconds % 3_600 / 60, seconds % 60].map(two).join(":");
  return `${Math.floor(seconds / 86_400)} ${clock}`;
}
