// Puts what has changed in place. All works without it.
const EVERY_MS = 900;
const GIVE_UP_MS = 1100;
const AGAIN_MS = 5000;
const ROWS_MAX = 200;
const byId = (id) => document.getElementById(id);
const made = (name) => document.createElement(name);
const parsed = async (reply) => new DOMParser().parseFromString(await reply.text(), "text/html");
const places = [...document.querySelectorAll("[data-live]")];
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const headers = { "X-Fragment": "1" };
let lastAt = new Date();

// Moments in the reader's zone, with UTC as title.
const localise = (root) => {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (time.title || isNaN(at)) continue;
    time.title = time.textContent;
    time.textContent = dates.format(at);
  }
};

// Finds it again.
const mark = ({ id, attributes: { href } }) =>
  id ? "#" + CSS.escape(id) : href && `[href="${CSS.escape(href.value)}"]`;

const isSelected = (place) => !getSelection().isCollapsed && getSelection().containsNode(place, true);

// The server's text of each place.
const shown = new Map(places.map((place) => [place, place.innerHTML]));

const replace = (place, fresh) => {
  if (!fresh || shown.get(place) === fresh.innerHTML || isSelected(place)) return;
  shown.set(place, fresh.innerHTML);
  const focused = document.activeElement;
  const back = focused !== place && place.contains(focused) && mark(focused);
  localise(fresh);
  place.replaceChildren(...fresh.childNodes);
  if (back) place.querySelector(back)?.focus({ preventScroll: true });
};

const refresh = async () => {
  const reply = await fetch("", { headers, redirect: "manual", signal: AbortSignal.timeout(GIVE_UP_MS) });
  if (reply.status >= 500) throw new Error();
  // The page says why.
  if (!reply.ok) return location.reload();
  const fresh = await parsed(reply);
  if (fresh.querySelectorAll("[data-live]").length !== places.length) return location.reload();
  for (const place of places) replace(place, fresh.getElementById(place.id));
  lastAt = new Date();
  say("");
};

const say = (words, place = byId("connection")) => {
  if (place.textContent !== words) place.textContent = words;
};

let isBusy = false;
const turn = async () => {
  if (document.hidden || isBusy) return;
  isBusy = true;
  await refresh().catch(() => say(`Connection lost, showing the state of ${dates.format(lastAt)}.`));
  isBusy = false;
};

// A moment is written in the reader's zone, sent in UTC.
addEventListener("formdata", ({ target: { from }, formData }) => {
  if (from?.value) formData.set("from", new Date(from.value).toISOString());
});
const utc = byId("utc");
if (utc) utc.valueAsNumber -= new Date(utc.valueAsNumber).getTimezoneOffset() * 6e4;

// A test leaves what is filled in, secrets too.
const result = document.querySelector("[data-result]");
addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (!result || submitter?.name !== "_do" || submitter.value === "save") return;
  event.preventDefault();
  // Before it is disabled, or it would say nothing.
  const body = new URLSearchParams(new FormData(form, submitter));
  submitter.disabled = true;
  result.textContent = "Under way, for up to 15 seconds.";
  try {
    const reply = await fetch(form.action, { method: "POST", body, headers });
    if (reply.headers.get("Content-Type")?.startsWith("text/html")) {
      const fresh = await parsed(reply);
      const found = fresh.querySelector("[data-result]") ?? fresh.body;
      localise(found);
      result.replaceChildren(...found.childNodes);
    } else result.textContent = "Not done: the session is over. Save leads by the login back here.";
  } catch {
    result.textContent = "The agent did not answer; try again.";
  }
  submitter.disabled = false;
  result.focus();
});

// The live tail.
const tail = byId("tail");
if (tail) {
  const [state, waiting, pause] = ["tail-state", "tail-waiting", "tail-pause"].map(byId);
  // Rows held while paused.
  let [held, arrived, opens] = [null, 0, 0];
  const show = (row) => {
    tail.prepend(row);
    if (tail.children.length > ROWS_MAX) tail.lastChild.remove();
  };
  const add = (events, ...parts) => {
    const row = made("li");
    row.append(...parts);
    if (!held) return show(row);
    if (held.push(row) > ROWS_MAX) held.shift();
    arrived += events;
    waiting.textContent = `${arrived} arrived since.`;
  };
  const tell = () => say(held ? "Paused." : "Watching: events appear once they are safe on the disk.", state);
  pause.hidden = false;
  pause.onclick = () => {
    held?.forEach(show);
    held = held ? null : [];
    arrived = 0;
    waiting.textContent = "";
    pause.textContent = held ? "Go on" : "Pause";
    tell();
  };
  const why = () =>
    fetch(tail.dataset.from, { signal: AbortSignal.timeout(EVERY_MS) })
      .then(async (reply) => (reply.status === 401 ? location.reload() : (await reply.json()).detail))
      .catch(() => {});
  const watch = () => {
    const source = new EventSource(tail.dataset.from);
    source.onopen = () => {
      tell();
      if (opens++) add(0, "Some events may be missing here.");
    };
    source.onerror = async () => {
      if (source.readyState === source.CLOSED) setTimeout(watch, AGAIN_MS);
      say(`${(await why()) ?? "Connection lost"}; trying again.`, state);
    };
    source.addEventListener("event", ({ data }) => {
      const { received, event } = JSON.parse(data);
      const [whole, head, text] = ["details", "summary", "pre"].map(made);
      head.textContent = [dates.format(new Date(received)), event.action, event.severity, event.tenant_id].join(" · ");
      text.textContent = JSON.stringify(event, null, 2);
      whole.append(head, text);
      add(1, whole);
    });
    source.addEventListener("skipped", ({ data }) => add(+data, `${data} more came too fast to show.`));
    source.addEventListener("unread", () => add(0, "Some came too fast to look at."));
  };
  watch();
}

localise(document);
if (places.length) {
  setInterval(turn, EVERY_MS);
  addEventListener("visibilitychange", turn);
}
