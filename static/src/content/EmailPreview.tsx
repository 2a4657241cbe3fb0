import { useLayoutEffect, useRef, useState } from "react";

import { Icon } from "../shared/Icon";
import type { Preview } from "./types";

const WIDTHS = { desktop: 640, phone: 360 };
type Device = keyof typeof WIDTHS;

interface Props {
  sender: string;
  shown: Preview | null;
  isWaiting: boolean;
  /** What is to be said above the email. */
  children: React.ReactNode;
}

/** An email as its reader gets it: in the inbox, opened, as plain text, in the dark. */
export function EmailPreview({ sender, shown, isWaiting, children }: Props) {
  const [device, setDevice] = useState<Device>("desktop");
  const [isDark, setDark] = useState(false);
  const [isText, setText] = useState(false);
  return (
    <>
      <Inbox sender={sender} subject={shown?.subject ?? ""} preheader={shown?.preheader || firstWords(shown?.text)} />
      <div className="ce-view" role="toolbar" aria-label="How it is shown">
        <div className="ce-segments">
          <Toggle isOn={!isText && device === "desktop"} icon="desktop_windows" label="Desktop" onClick={() => { setText(false); setDevice("desktop"); }} />
          <Toggle isOn={!isText && device === "phone"} icon="smartphone" label="Phone" onClick={() => { setText(false); setDevice("phone"); }} />
          <Toggle isOn={isText} icon="notes" label="Plain text" onClick={() => setText(true)} />
        </div>
        <Toggle isOn={isDark} icon="dark_mode" label="Dark" onClick={() => setDark(!isDark)} />
      </div>
      {children}
      {shown && isText && (
        <pre className={isDark ? "ce-plain is-dark" : "ce-plain"} tabIndex={0} aria-label="Plain text">
          {shown.text}
        </pre>
      )}
      {shown && !isText && <Sheet html={shown.html} device={device} isDark={isDark} subject={shown.subject} />}
      {isWaiting && <div className="ce-sheet is-waiting" aria-busy="true" />}
    </>
  );
}

function Inbox({ sender, subject, preheader }: { sender: string; subject: string; preheader: string }) {
  return (
    <div className="ce-inbox" aria-label="In the inbox" role="group">
      <span className="ce-avatar" aria-hidden="true">
        {sender.slice(0, 1).toUpperCase() || "?"}
      </span>
      <div>
        <p className="ce-from">
          <span>{sender}</span>
          <small>now</small>
        </p>
        <p className="ce-subject">{subject || <em>No subject</em>}</p>
        <p className="ce-preheader">{preheader}</p>
      </div>
    </div>
  );
}

/** The email in a frame that runs no program and opens no link, made smaller when there is no room for it. */
function Sheet({ html, device, isDark, subject }: { html: string; device: Device; isDark: boolean; subject: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      setSize({ width, height });
    });
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  const width = WIDTHS[device];
  const scale = Math.min(1, size.width / width || 1);
  return (
    <div className={`ce-sheet is-${device}`} ref={place}>
      <div className="ce-frame" style={{ width: width * scale, height: size.height }}>
        <iframe
          title={`Email: ${subject}`}
          sandbox=""
          srcDoc={framed(html, isDark)}
          style={{ width, height: size.height / scale, transform: `scale(${scale})` }}
        />
      </div>
    </div>
  );
}

const DARK_QUERY = /\(\s*prefers-color-scheme\s*:\s*dark\s*\)/gi;
// What mail programs do to an email that says nothing about the dark.
const INVERTED =
  "<style>html{background:#fff;filter:invert(1) hue-rotate(180deg)}img,video{filter:invert(1) hue-rotate(180deg)}</style>";

/** The HTML for the frame: a link would open a window, which the frame forbids; the dark is as a mail program makes it. */
function framed(html: string, isDark: boolean): string {
  const hasOwnDark = new RegExp(DARK_QUERY.source, "i").test(html);
  const shown = html
    // The toggle decides, not the scheme of this page.
    .replace(DARK_QUERY, isDark ? "(min-width: 0px)" : "(max-width: 0px)")
    .replace(/<a\b/gi, '<a target="_blank"');
  if (!isDark || hasOwnDark) return shown;
  return /<head\b[^>]*>/i.test(shown)
    ? shown.replace(/<head\b[^>]*>/i, (tag) => tag + INVERTED)
    : `<!doctype html><html><head>${INVERTED}</head>${shown}`;
}

function firstWords(text = ""): string {
  return text.replace(/\s+/g, " ").trim().slice(0, 120);
}

function Toggle({ isOn, icon, label, onClick }: { isOn: boolean; icon: string; label: string; onClick: () => void }) {
  return (
    <button type="button" className="ce-toggle" aria-pressed={isOn} onClick={onClick}>
      <Icon name={icon} />
      {label}
    </button>
  );
}
