import { useState } from "react";

import { Dialog } from "./Dialog";
import { sendProof } from "./server";
import type { Boot, Channel, Person, Variant } from "./types";
import { words } from "./words";

interface Props {
  boot: Boot;
  variant: Variant;
  person: Person | null;
  event: string;
  /** Saves what is not saved yet: a proof is made of the stored words. */
  onBefore: () => Promise<boolean>;
  onClose: () => void;
}

/** How the address of a channel is asked for; channels that have none are not in it. */
const ADDRESSES: Partial<Record<Channel, { type: string; placeholder: string }>> = {
  email: { type: "email", placeholder: "you@example.com" },
  sms: { type: "tel", placeholder: "+49 170 1234567" },
};
const MARKS: Partial<Record<Channel, string>> = {
  email: "The subject begins with [Proof].",
  sms: "It begins with [Proof].",
  push: "The title begins with [Proof].",
  webhook: "Its header webhook-id begins with proof-.",
};

export function ProofDialog({ boot, variant, person, event, onBefore, onClose }: Props) {
  const [address, setAddress] = useState(boot.channel === "email" ? boot.userEmail : "");
  const [configuration, setConfiguration] = useState(boot.configurations[0]?.key ?? "");
  const [state, setState] = useState<"idle" | "sending" | "sent">("idle");
  const [said, setSaid] = useState("");

  const asked = ADDRESSES[boot.channel];
  const isReady = boot.channel !== "push" || person !== null;

  const send = async () => {
    setState("sending");
    setSaid("");
    try {
      if (!(await onBefore())) throw new Error("The words could not be saved, so no proof was sent.");
      const { treatment, locale } = variant;
      const profile = person?.id ?? null;
      setSaid((await sendProof(boot, { address, configuration, profile, event, treatment, locale })).detail);
      setState("sent");
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
      setState("idle");
    }
  };

  return (
    <Dialog title="Send a proof" onClose={onClose}>
      {boot.configurations.length ? (
        <form
          className="ce-form"
          onSubmit={(submit) => {
            submit.preventDefault();
            void send();
          }}
        >
          {asked && (
            <label>
              <span>To</span>
              <input
                autoFocus
                required
                type={asked.type}
                value={address}
                placeholder={asked.placeholder}
                onChange={(change) => setAddress(change.target.value)}
              />
            </label>
          )}
          {boot.channel === "push" && (
            <p>
              {person
                ? `To the devices of ${person.name}.`
                : "A push goes to devices. Choose in the preview the person whose devices take the proof."}
            </p>
          )}
          {boot.channel === "webhook" && <p>To the system that the configuration names, as it would be sent.</p>}
          <label>
            <span>Through</span>
            <select value={configuration} onChange={(change) => setConfiguration(change.target.value)}>
              {boot.configurations.map(({ key, name, sender }) => (
                <option key={key} value={key}>
                  {sender === name ? name : `${name} (${sender})`}
                </option>
              ))}
            </select>
          </label>
          <p className="ce-note">
            Written as for {person?.name ?? words.nobody.toLowerCase()}
            {event ? `, with the event ${event}` : ""}. {MARKS[boot.channel] ?? ""} It is really sent and counts as no
            message{boot.channel === "email" ? "; its links unsubscribe nobody" : ""}.
          </p>
          {said && (
            <p className={state === "sent" ? "ce-banner is-ok" : "ce-banner is-error"} role="alert">
              {said}
            </p>
          )}
          <footer>
            <button type="button" className="ce-button" onClick={onClose}>
              {state === "sent" ? "Done" : "Cancel"}
            </button>
            <button type="submit" className="ce-button is-primary" disabled={state === "sending" || !isReady}>
              {state === "sending" ? "Sending…" : state === "sent" ? "Send again" : "Send proof"}
            </button>
          </footer>
        </form>
      ) : (
        <p className="ce-note">
          There is no channel configuration that is switched on. Make one under Administration, then send a proof.
        </p>
      )}
    </Dialog>
  );
}
