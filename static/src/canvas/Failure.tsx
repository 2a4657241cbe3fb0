/** The journey could not be loaded at all. */
export function Failure({ error }: { error: unknown }) {
  return (
    <div className="jc-failure" role="alert">
      <h2>The journey could not be loaded</h2>
      <p>{error instanceof Error ? error.message : "The server gave no reason."}</p>
      <button type="button" className="jc-button" onClick={() => location.reload()}>
        Try again
      </button>
    </div>
  );
}
