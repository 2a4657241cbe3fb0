/** What the page that holds an island tells it: the JSON that Django's json_script wrote. */
export function boot<T>(id: string): T {
  const element = document.getElementById(id);
  if (!element?.textContent) throw new Error(`The page has no data with the id ${id}.`);
  return JSON.parse(element.textContent) as T;
}
