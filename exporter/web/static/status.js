"use strict";
// Fetches this very page again and again, and takes over what has changed: nothing flickers, nothing loses the focus.
(() => {
  const EVERY = 5000; // milliseconds between two looks
  const LONGEST = 60000; // between two tries while nobody answers
  const PATIENCE = 20000; // with one answer
  const form = document.getElementById("filter");
  const lost = document.getElementById("lost");
  let url = location.href;
  let wait = EVERY;
  let timer = 0;
  let typing = 0;
  let asking = null;

  const keyOf = (node) => node.dataset?.key || node.id || null;

  const alike = (old, fresh) => old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);

  // Makes one node like another, with as few changes as can be.
  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const known = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
    let place = old.firstChild;
    for (const wanted of fresh.childNodes) {
      const key = keyOf(wanted);
      const match = key ? known.get(key) : place && alike(place, wanted) ? place : null;
      if (!match) {
        old.insertBefore(document.importNode(wanted, true), place);
        continue;
      }
      known.delete(key);
      if (match === place) place = place.nextSibling;
      else old.insertBefore(match, place);
      morph(match, wanted);
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  function show(page) {
    const focused = document.activeElement;
    if (document.title !== page.title) document.title = page.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(part.id);
      if (fresh) morph(part, fresh);
    }
    // What is moved loses the focus.
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  function say(trouble) {
    document.body.classList.toggle("stale", Boolean(trouble));
    if (lost.textContent !== trouble) lost.textContent = trouble;
  }

  async function refresh() {
    clearTimeout(timer);
    asking?.abort();
    const mine = (asking = new AbortController());
    const late = setTimeout(() => mine.abort(), PATIENCE);
    let trouble = "The exporter does not answer.";
    try {
      const answer = await fetch(url, { signal: mine.signal, cache: "no-store" });
      if (!answer.ok) trouble = `The exporter answers ${answer.status} ${answer.statusText}.`;
      const page = new DOMParser().parseFromString(answer.ok ? await answer.text() : "", "text/html");
      if (asking !== mine) return;
      if (page.getElementById("verdict")) {
        show(page);
        trouble = "";
      }
    } catch {
      if (asking !== mine) return;
    } finally {
      clearTimeout(late);
    }
    wait = trouble ? Math.min(2 * wait, LONGEST) : EVERY;
    say(trouble && `${trouble} This is how it was at ${document.querySelector("#fresh time").textContent}.`);
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, wait);
  }

  function go(to, push) {
    url = new URL(to, location.href).href;
    if (push) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    return refresh();
  }

  function asked() {
    const pairs = [...new FormData(form)].filter(([name, value]) => value && !(name === "sort" && value === "urgency"));
    const text = new URLSearchParams(pairs).toString();
    return text ? `${form.action}?${text}` : form.action;
  }

  // The form says what the address says, after a link or a step back.
  function follow() {
    const wanted = new URL(url).searchParams;
    for (const field of form.elements) {
      if (field.type === "checkbox") field.checked = wanted.getAll(field.name).includes(field.value);
      else if (field.name === "sort") field.value = wanted.get("sort") || "urgency";
      else if (field.name) field.value = wanted.get(field.name) || "";
    }
  }

  form.addEventListener("input", ({ target }) => {
    clearTimeout(typing);
    if (target.name === "sort") form.elements.reversed.checked = false;
    if (target.type === "search") typing = setTimeout(() => go(asked(), false), 200);
    else go(asked(), true);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    go(asked(), false);
  });
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-live] a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
    const there = new URL(link.href);
    if (there.origin !== location.origin || there.pathname !== location.pathname || there.hash) return;
    event.preventDefault();
    clearTimeout(typing);
    const turned = link.rel;
    const answered = go(link.href, true);
    follow();
    await answered;
    if (turned) document.getElementById("tasks").scrollIntoView();
  });
  addEventListener("popstate", () => {
    clearTimeout(typing);
    url = location.href;
    follow();
    refresh();
  });
  addEventListener("online", refresh);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else refresh();
  });
  document.documentElement.classList.add("scripted");
  follow();
  plan();
})();
