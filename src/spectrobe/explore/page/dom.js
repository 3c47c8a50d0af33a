// Small helpers. Text from outside (names of classes, models, files) only ever becomes text nodes and attributes.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export async function ask(path, question) {
  const body = question === undefined ? {} : { method: "POST", body: JSON.stringify(question) };
  const response = await fetch(path, { ...body, headers: { "Content-Type": "application/json" } });
  return understood(response);
}

export async function understood(response) {
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error ?? `the server answered ${response.status}`);
  return answer;
}

let problems = 0; // told so far

/* What success of something begun now may take back: problems told before, not what went wrong meanwhile. */
export function allIsWell() {
  const before = problems;
  return () => {
    if (problems === before) tell(null);
  };
}

export function tell(error) {
  const problem = byId("problem");
  problem.hidden = !error;
  if (!error) return;
  problems += 1;
  const gone = error instanceof TypeError; // what fetch throws when nobody listens
  problem.textContent = gone ? "No answer: is spectrobe explore still running in its terminal?" : error.message;
  problem.scrollIntoView({ block: "nearest" });
}

export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return share >= 0.1 && share < 0.995 ? `${Math.round(100 * share)} %` : `${(100 * share).toFixed(1)} %`;
}
