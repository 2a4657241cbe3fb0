import { Icon } from "../shared/Icon";
import type { Channel, Preview } from "./types";

interface Props {
  channel: Channel;
  sender: string;
  shown: Preview;
}

/** A message that is no email: on a phone, as the document of another system, as a line for the printer. */
export function OtherPreview({ channel, sender, shown }: Props) {
  switch (channel) {
    case "webhook":
      return (
        <pre className="ce-json" tabIndex={0} aria-label="The JSON that is sent">
          {shown.text}
        </pre>
      );
    case "direct_mail":
      return <PrintedRow shown={shown} />;
    default:
      return (
        <div className="ce-phone" role="group" aria-label="On the phone">
          <p className="ce-phone-clock" aria-hidden="true">
            9:41
          </p>
          {channel === "sms" ? <Sms sender={sender} shown={shown} /> : <Push sender={sender} shown={shown} />}
        </div>
      );
  }
}

function Sms({ sender, shown }: { sender: string; shown: Preview }) {
  return (
    <>
      <p className="ce-phone-from">
        <span className="ce-avatar" aria-hidden="true">
          {sender.slice(0, 1).toUpperCase() || "?"}
        </span>
        {sender}
      </p>
      <p className="ce-bubble">{shown.text}</p>
    </>
  );
}

function Push({ sender, shown }: { sender: string; shown: Preview }) {
  return (
    <>
      <div className="ce-card">
        <p className="ce-card-top">
          <span>{sender}</span>
          <span>now</span>
        </p>
        <p className="ce-card-title">{shown.subject}</p>
        <p className="ce-card-text">{shown.text}</p>
        {shown.image_url && <img key={shown.image_url} src={shown.image_url} alt="" referrerPolicy="no-referrer" />}
      </div>
      <p className="ce-tap">
        <Icon name="touch_app" />
        {shown.link_url ? <code>{shown.link_url}</code> : "A tap opens the app."}
      </p>
      {shown.columns.length > 0 && (
        <dl className="ce-data" aria-label="What the app is given">
          {shown.columns.map(([name, value], index) => (
            <div key={index}>
              <dt>{name}</dt>
              <dd>{value || "–"}</dd>
            </div>
          ))}
        </dl>
      )}
    </>
  );
}

/** One line of the printer's file under its head; it scrolls when it is long. */
function PrintedRow({ shown }: { shown: Preview }) {
  return (
    <div className="ce-printed" tabIndex={0} role="region" aria-label="The line of the printer's file">
      <table>
        <thead>
          <tr>
            {shown.columns.map(([name], index) => (
              <th key={index} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr>
            {shown.columns.map(([, value], index) => (
              <td key={index}>{value || "–"}</td>
            ))}
          </tr>
        </tbody>
      </table>
    </div>
  );
}
