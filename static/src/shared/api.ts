/** Calls of our own REST API with the session of the page. */

export interface FieldProblem {
  field: string;
  code: string;
  message: string;
}

/** An answer that is no success: a problem document with a sentence for people. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly errors: FieldProblem[] = [],
  ) {
    super(detail);
  }
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export async function call<T>(method: Method, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  const init: RequestInit = { method, headers, credentials: "same-origin", signal: signal ?? null };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(url, init);
  const text = await response.text();
  const data: unknown = text ? parsed(text) : undefined;
  if (response.ok) return data as T;
  const problem = (data ?? {}) as Partial<{ code: string; detail: string; errors: FieldProblem[] }>;
  throw new ApiProblem(
    response.status,
    problem.code ?? "error",
    problem.detail ?? `The server answered ${response.status}.`,
    problem.errors ?? [],
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a proxy's error page is no problem document
  }
}

/** The cookie, not a form field: the page may have been open since before the last login. */
function csrfToken(): string {
  return /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? "";
}
