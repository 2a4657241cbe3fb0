import { lazy, type RefObject, Suspense } from "react";

import { Icon } from "../shared/Icon";
import { Area } from "./Area";
import { Columns } from "./Columns";
import type { EditorHandle } from "./Editor";
import { labels } from "./fields";
import { Length } from "./Length";
import { Line } from "./Line";
import type { Boot, Column, Field, Finding, Parts, Place, Variant, WordField, Words } from "./types";
import { words as said } from "./words";

const Editor = lazy(() => import("./Editor"));

interface Props {
  boot: Boot;
  variant: Variant;
  isReadOnly: boolean;
  fields: Field[];
  parts: Parts | null;
  ofField: (field: WordField) => Finding[];
  editor: RefObject<EditorHandle | null>;
  keep: (place: Place, input: HTMLInputElement | HTMLTextAreaElement | null) => void;
  onChange: (change: Partial<Words>) => void;
  onPick: (place: Place) => void;
}

/** The fields of a message that is no email. */
export function OtherWords(props: Props) {
  const { boot, variant, isReadOnly, ofField, keep, onChange, onPick } = props;
  const named = labels[boot.channel];
  const line = (field: "subject" | "image_url" | "link_url", help = "") => (
    <Line
      ref={(input) => keep(field, input)}
      label={named[field]}
      help={help}
      maxLength={field === "subject" ? 500 : 2000}
      value={variant[field]}
      isReadOnly={isReadOnly}
      findings={ofField(field)}
      onChange={(value) => onChange({ [field]: value })}
      onPick={() => onPick(field)}
    />
  );
  const area = (rows: number) => (
    <Area
      ref={(input) => keep("text", input)}
      label={named.text}
      rows={rows}
      value={variant.text}
      isReadOnly={isReadOnly}
      findings={ofField("text")}
      onChange={(text) => onChange({ text })}
      onPick={() => onPick("text")}
    >
      {boot.channel === "sms" && <Length parts={props.parts} />}
    </Area>
  );
  const columns = (help: string, one: string) => (
    <Columns
      title={named.columns}
      help={help}
      one={one}
      columns={variant.columns}
      isReadOnly={isReadOnly}
      findings={ofField("columns")}
      onChange={(next: Column[]) => onChange({ columns: next })}
      onPick={onPick}
      keep={keep}
    />
  );
  switch (boot.channel) {
    case "push":
      return (
        <div className="ce-scroll">
          {line("subject")}
          {area(4)}
          {line("image_url", said.pictureHelp)}
          {line("link_url", said.linkHelp)}
          {columns(said.dataHelp, "value")}
        </div>
      );
    case "direct_mail":
      return <div className="ce-scroll">{columns(said.columnsHelp, "column")}</div>;
    case "webhook":
      return (
        <>
          <div className="ce-source-bar">
            <p className="ce-hint">{said.jsonHelp}</p>
            {!isReadOnly && (
              <button type="button" className="ce-button is-quiet" onClick={() => onPick("text")}>
                <Icon name="data_object" />
                <span>Insert a field</span>
              </button>
            )}
          </div>
          <Suspense fallback={<div className="ce-code is-waiting" aria-busy="true" />}>
            <Editor
              kind="text"
              label={named.text}
              value={variant.text}
              isReadOnly={isReadOnly}
              findings={ofField("text")}
              fields={props.fields}
              tags={boot.tags}
              handle={props.editor}
              onChange={(text) => text !== variant.text && onChange({ text })}
            />
          </Suspense>
          <p className="ce-hint">{said.leave}</p>
        </>
      );
    default:
      return <div className="ce-scroll">{area(8)}</div>;
  }
}
