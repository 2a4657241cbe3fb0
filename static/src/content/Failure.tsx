/** The editor could not be opened: says why, and that nothing is lost. */
export function Failure({ error }: { error: unknown }) {
  return (
    <div className="ce-failure" role="alert">
      <h2>The editor could not be opened</h2>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      <p>Nothing was changed. Load the page again.</p>
    </div>
  );
}
