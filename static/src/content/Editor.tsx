import { autocompletion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { indentWithTab } from "@codemirror/commands";
import { html } from "@codemirror/lang-html";
import { xml } from "@codemirror/lang-xml";
import { foldable, foldEffect, forceParsing, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState } from "@codemirror/state";
import { keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { basicSetup, EditorView } from "codemirror";
import { useEffect, useImperativeHandle, useRef } from "react";

import type { Boot, Field, Finding } from "./types";

export interface EditorHandle {
  insert: (text: string) => void;
  goTo: (line: number) => void;
}

interface Props {
  kind: "mjml" | "html" | "text";
  label: string;
  value: string;
  isReadOnly: boolean;
  findings: Finding[];
  fields: Field[];
  tags: Boot["tags"];
  handle: React.RefObject<EditorHandle | null>;
  onChange: (value: string) => void;
}

// Colours come from the style sheet, which knows light and dark.
const colours = HighlightStyle.define([
  { tag: [tags.tagName, tags.angleBracket], class: "ce-tok-tag" },
  { tag: tags.attributeName, class: "ce-tok-name" },
  { tag: [tags.attributeValue, tags.string], class: "ce-tok-value" },
  { tag: tags.comment, class: "ce-tok-comment" },
  { tag: tags.invalid, class: "ce-tok-invalid" },
]);

/** A code editor for one source. The server's problems stand in its margin. */
export function Editor(props: Props) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const fields = useRef(props.fields);
  const onChange = useRef(props.onChange);
  const readOnly = useRef(new Compartment());
  fields.current = props.fields;
  onChange.current = props.onChange;

  useEffect(() => {
    const complete = (context: CompletionContext) => completeField(context, fields.current);
    const created = new EditorView({
      parent: place.current!,
      state: EditorState.create({
        doc: props.value,
        extensions: [
          keymap.of([indentWithTab]),
          basicSetup,
          language(props.kind, props.tags),
          EditorState.languageData.of(() => [{ autocomplete: complete }]),
          autocompletion({ icons: false }),
          syntaxHighlighting(colours),
          lintGutter(),
          EditorView.lineWrapping,
          readOnly.current.of(EditorState.readOnly.of(props.isReadOnly)),
          EditorView.contentAttributes.of({ "aria-label": props.label, spellcheck: "true" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) onChange.current(update.state.doc.toString());
          }),
        ],
      }),
    });
    created.scrollDOM.tabIndex = 0; // a frozen text has no cursor, and must still scroll by the keyboard
    view.current = created;
    if (props.kind === "mjml") foldHead(created);
    return () => {
      created.destroy();
      view.current = null;
    };
    // A new editor for another kind of source; the same one for new words, which it has itself.
  }, [props.kind]);

  useEffect(() => {
    const editor = view.current!;
    if (editor.state.doc.toString() === props.value) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: props.value } });
  }, [props.value]);

  useEffect(() => {
    view.current!.dispatch({
      effects: readOnly.current.reconfigure(EditorState.readOnly.of(props.isReadOnly)),
    });
  }, [props.isReadOnly]);

  useEffect(() => {
    const editor = view.current!;
    editor.dispatch(setDiagnostics(editor.state, props.findings.map(diagnostic(editor.state))));
  }, [props.findings, props.kind]);

  useImperativeHandle(props.handle, () => ({
    insert: (text) => {
      const editor = view.current!;
      editor.dispatch(editor.state.replaceSelection(text));
      editor.focus();
    },
    goTo: (number) => {
      const editor = view.current!;
      const line = editor.state.doc.line(Math.min(Math.max(number, 1), editor.state.doc.lines));
      editor.dispatch({
        selection: { anchor: line.from, head: line.to },
        effects: EditorView.scrollIntoView(line.from, { y: "center" }),
      });
      editor.focus();
    },
  }));

  return <div className="ce-code" ref={place} />;
}

export default Editor;

/** The head of MJML holds the looks; who writes wants to see the words first. */
function foldHead(view: EditorView) {
  const at = /^[ \t]*<mj-head>/m.exec(view.state.doc.toString());
  if (!at) return;
  forceParsing(view, view.state.doc.length, 100);
  const line = view.state.doc.lineAt(at.index);
  const range = foldable(view.state, line.from, line.to);
  if (range) view.dispatch({ effects: foldEffect.of(range) });
}

function language(kind: Props["kind"], known: Boot["tags"]) {
  if (kind === "html") return html();
  if (kind === "text") return [];
  return xml({
    elements: Object.entries(known).map(([name, { attributes, children }]) => ({
      name,
      attributes,
      ...(children.length ? { children } : {}),
      top: name === "mjml",
    })),
  });
}

function diagnostic(state: EditorState) {
  return ({ line, level, message }: Finding): Diagnostic => {
    const at = state.doc.line(Math.min(Math.max(line ?? 1, 1), state.doc.lines));
    const indent = /^\s*/.exec(at.text)![0].length;
    return { from: at.from + indent, to: at.to, severity: level, message };
  };
}

/** Fields after `{{ `, and after each dot of them. */
function completeField(context: CompletionContext, fields: Field[]): CompletionResult | null {
  const before = context.matchBefore(/\{[{%][^{}%]*/);
  if (!before) return null;
  const word = context.matchBefore(/[\w.-]*/);
  if (!word || (word.from === word.to && !context.explicit && !/\{\{\s*$/.test(before.text))) return null;
  return {
    from: word.from,
    options: fields.map(({ path, label }) => ({ label: path, detail: label, type: "variable" })),
    validFor: /^[\w.-]*$/,
  };
}
