// What makes the page live: it fetches its own address every two seconds and puts what has changed in place. Everything
// works without it.
"use strict";
(() => {
  const EVERY_MS = 2000;
  const GIVE_UP_MS = 10000;
  const REFUSED = "Not done: the session is over. Copy what you need, and reload.";
  const connection = document.getElementById("connection");
  const places = [...document.querySelectorAll("[data-live]")];
  const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  let lastAt = new Date();

  // Moments in the reader's zone; UTC stays as the title.
  const localise = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (time.title || Number.isNaN(at.getTime())) continue;
      time.title = time.textContent;
      time.textContent = dates.format(at);
    }
  };

  // What finds an element again in what takes its place.
  const mark = (element) => {
    if (element.id) return "#" + CSS.escape(element.id);
    const href = element.getAttribute("href");
    return href ? `[href="${CSS.escape(href)}"]` : null;
  };

  const isSelected = (place) => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(place, true);
  };

  // The server's text of each place, by which a change is seen.
  const shown = new Map(places.map((place) => [place, place.innerHTML]));

  const replace = (place, fresh) => {
    if (!fresh || shown.get(place) === fresh.innerHTML || isSelected(place)) return;
    shown.set(place, fresh.innerHTML);
    const focused = document.activeElement;
    const back = focused !== place && place.contains(focused) ? mark(focused) : null;
    localise(fresh);
    place.replaceChildren(...fresh.childNodes);
    if (back) place.querySelector(back)?.focus({ preventScroll: true });
  };

  const refresh = async () => {
    const reply = await fetch(location.href, {
      headers: { "X-Fragment": "1" },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    // The session is over, or what was shown is gone: the page itself says so.
    if (reply.type === "opaqueredirect" || (reply.status >= 400 && reply.status < 500)) return location.reload();
    if (!reply.ok) throw new Error(reply.statusText);
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    // A place came or went: show all anew.
    if (fresh.querySelectorAll("[data-live]").length !== places.length) return location.reload();
    for (const place of places) replace(place, fresh.getElementById(place.id));
    lastAt = new Date();
    if (connection.textContent) connection.textContent = "";
  };

  let isUnderWay = false;
  const turn = async () => {
    if (document.hidden || isUnderWay) return;
    isUnderWay = true;
    try {
      await refresh();
    } catch {
      const words = `Connection lost, showing the state of ${clock.format(lastAt)}.`;
      if (connection.textContent !== words) connection.textContent = words;
    }
    isUnderWay = false;
  };

  // A test of what is filled in leaves the form as it is, secrets too: only what was found is put above it.
  const result = document.querySelector("[data-result]");
  document.addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    if (!result || submitter?.name !== "_do" || submitter.value === "save") return;
    event.preventDefault();
    submitter.disabled = true;
    result.textContent = "Under way; it takes up to 15 seconds.";
    try {
      const body = new URLSearchParams(new FormData(form));
      body.set(submitter.name, submitter.value);
      const reply = await fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "1" } });
      if (!reply.headers.get("Content-Type")?.startsWith("text/html")) throw new Error(REFUSED);
      const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
      const found = fresh.querySelector("[data-result]") ?? fresh.body;
      localise(found);
      result.replaceChildren(...found.childNodes);
    } catch ({ message }) {
      result.textContent = message === REFUSED ? REFUSED : "The agent did not answer; try again.";
    }
    submitter.disabled = false;
    result.focus();
  });

  // Events as they come, the newest first; a row is opened for the whole of it.
  const tail = document.getElementById("tail");
  const tailState = document.getElementById("tail-state");
  const add = (...parts) => {
    const row = document.createElement("li");
    row.append(...parts);
    tail.prepend(row);
    while (tail.children.length > 200) tail.lastElementChild.remove();
  };
  if (tail) {
    const source = new EventSource(tail.dataset.from);
    source.onopen = () => { tailState.textContent = "Watching: events appear as they are durable."; };
    source.onerror = () => {
      // What was refused is not tried again.
      tailState.textContent = source.readyState === EventSource.CLOSED
        ? "Not shown: a value is wrong, too many watch, or the session is over. Correct it or reload."
        : "Connection lost; it is tried again.";
    };
    source.addEventListener("event", ({ data }) => {
      const { received, event } = JSON.parse(data);
      const [whole, head, text] = ["details", "summary", "pre"].map((name) => document.createElement(name));
      head.textContent = [dates.format(new Date(received)), event.action, event.severity, event.tenant_id].join(" · ");
      text.textContent = JSON.stringify(event, null, 2);
      whole.append(head, text);
      add(whole);
    });
    source.addEventListener("skipped", ({ data }) => add(`${data} more were left out: they came too fast to show.`));
    source.addEventListener("unread", () => add("Some were not looked at: they came too fast."));
  }

  localise(document);
  if (places.length > 0) {
    setInterval(turn, EVERY_MS);
    document.addEventListener("visibilitychange", turn);
  }
})();
