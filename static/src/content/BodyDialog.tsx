import { Dialog } from "./Dialog";
import { Icon } from "../shared/Icon";
import type { StartingPoint } from "./types";

interface Props {
  title: string;
  warning: string;
  startingPoints: StartingPoint[];
  onChoose: (mjml: string) => void;
  onClose: () => void;
}

/** Begins the body anew from a starting point. */
export function BodyDialog({ title, warning, startingPoints, onChoose, onClose }: Props) {
  return (
    <Dialog title={title} onClose={onClose} isWide>
      {warning && <p className="ce-note">{warning}</p>}
      <ul className="ce-points">
        {startingPoints.map(({ key, label, description, icon, mjml }) => (
          <li key={key}>
            <button type="button" onClick={() => onChoose(mjml)}>
              <Icon name={icon} />
              <b>{label}</b>
              <span>{description}</span>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
