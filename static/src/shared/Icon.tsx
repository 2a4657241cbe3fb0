import { memo } from "react";

/** A Material Symbol by its name; it says nothing to screen readers. */
export const Icon = memo(function Icon({ name }: { name: string }) {
  return (
    <span className="material-symbols-outlined" aria-hidden="true">
      {name}
    </span>
  );
});
