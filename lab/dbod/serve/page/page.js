// The page asks the API every two seconds and shows what it says; nothing is kept here.

import { answers, backups, fleet } from "./graphs.js";

const EVERY = 2000, HOURS = 24, DAYS = 14;
const $ = (selector) => document.querySelector(selector);
let chosen = decodeURIComponent(location.hash.slice(1)), tab = "Overview";
let service = null, instances = [], jobs = [], shownAfter = null, graphsAt = 0;
const open = new Set(), marked = new Set();

// --- helpers ------------------------------------------------------------------------------------

function h(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(made.dataset, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...inside.flat().filter((one) => one !== null && one !== undefined));
  return made;
}

async function api(method, path, body) {
  const told = await fetch(`/api/v1${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (told.status === 401) location.reload();
  const answer = told.status === 204 ? {} : await told.json();
  if (!told.ok) throw new Error(`${answer.error.cause} ${answer.error.remedy}`);
  return answer.response;
}

let saying = 0;
function say(text, bad = false) {
  const said = $("#said");
  said.textContent = text;
  said.className = bad ? "bad" : "";
  said.hidden = false;
  clearTimeout(saying);
  saying = setTimeout(() => (said.hidden = true), bad ? 9000 : 4000);
}

async function attempt(body) {
  try {
    return await body();
  } catch (error) {
    say(error.message, true);
  }
}

const when = (text) => (text ? text.slice(0, 10) + " " + text.slice(11, 19) : "–");
const pill = (state) => h("span", { class: `pill ${state}` }, state.replace("_", " "));
const does = (operation) => service?.does.includes(operation);

async function ask(job, name, body) {
  await attempt(async () => {
    const asked = await api("POST", `/rundeck/job/${job}/${name}`, body);
    say(`Job ${asked.id}: ${job} of ${name} is accepted.`);
    await refresh();
  });
}

// A question with fields; gives their values, or null.
function question(title, fields, button, danger = false) {
  const dialog = $("#dialog"), form = dialog.querySelector("form");
  form.replaceChildren(
    h("h2", {}, title),
    ...fields.map((field) =>
      typeof field === "string"
        ? h("p", { class: "dim" }, field)
        : h("label", {}, field.label,
            field.options
              ? h("select", { name: field.name }, field.options.map(([value, text]) => h("option", { value, selected: value === field.value }, text)))
              : h("input", { name: field.name, value: field.value ?? "", placeholder: field.placeholder, required: field.required, type: field.type ?? "text" }))),
    h("div", { class: "ends" },
      h("button", { value: "cancel", formnovalidate: true }, "Cancel"),
      h("button", { value: "ok", class: danger ? "danger" : "primary", id: "confirm" }, button)),
  );
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.onclose = () => answer(dialog.returnValue === "ok" ? Object.fromEntries(new FormData(form)) : null);
  });
}

// DBOD's API says MYSQL where this service has MariaDB.
const ENGINES = { MYSQL: "MariaDB", PG: "PostgreSQL" };
const engine = (one) => `${ENGINES[one.db_type] ?? one.db_type} ${one.version ?? ""}`;
const size = (bytes) => bytes == null ? null : bytes < 1048576 ? `${(bytes / 1024).toFixed(0)} KiB`
  : bytes < 1073741824 ? `${(bytes / 1048576).toFixed(0)} MiB` : `${(bytes / 1073741824).toFixed(1)} GiB`;
const filled = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));

// --- what can be asked for -----------------------------------------------------------------------

async function create() {
  const given = await question("New instance", [
    { name: "name", label: "Name", required: true, placeholder: "lower-case letters, digits, _" },
    { name: "db_type", label: "Engine", options: Object.entries(ENGINES) },
    { name: "class", label: "Class", options: [["TEST", "TEST"], ["REF", "REF"], ["PROD", "PROD"]] },
    { name: "memory", label: "Memory, MiB", value: "256", type: "number" },
    { name: "disk", label: "Disk, GiB, for data and log each (0: the default)", value: "0", type: "number" },
    { name: "username", label: "Owner" },
    { name: "description", label: "Description" },
  ], "Ask for it");
  if (!given) return;
  const { name, memory, disk, ...rest } = given;
  await attempt(async () => {
    const asked = await api("POST", `/instance/${encodeURIComponent(name)}`, filled({ ...rest, memory: Number(memory), disk: Number(disk) }));
    say(`Job ${asked.id}: ${name} is asked for.`);
    choose(name);
    await refresh();
  });
}

async function restore(name, found, chosenBackup) {
  const newest = [...found].reverse();
  const given = await question(`Restore ${name}`, [
    "What is in it now is replaced by the backup's data.",
    { name: "backup", label: "Backup", value: chosenBackup, options: newest.map((one) => [one.id, `${when(one.at)}  ${one.id}`]) },
    { name: "time", label: "And on from there to (UTC; empty: the backup's own moment)", placeholder: "2026-01-31_23:59:59" },
  ], "Restore", true);
  if (given) await ask("RESTORE", name, filled(given));
}

async function deleteBackup(name, backup) {
  const given = await question(`Delete backup ${backup}`, [`No restore of ${name} can begin from it any more.`], "Delete", true);
  if (given) await ask("DELETE_BACKUP", name, { backup });
}

async function clone(name, backup) {
  const given = await question(`Clone ${name}`, [
    "A new instance with the backup's data, and a port and a password of its own.",
    { name: "target", label: "Its name", required: true },
  ], "Clone");
  if (given) await ask("CLONE", name, { ...given, backup });
}

async function resize(one) {
  const given = await question(`Memory of ${one.id}`, [{ name: "memory", label: "MiB", value: one.memory, type: "number" }], "Change");
  if (given) await ask("RESIZE", one.id, { memory: Number(given.memory) });
}

async function destroy(name) {
  const sure = await question(`Destroy ${name}`, ["The server, its data and all of its backups go. Nothing brings them back."], "Destroy", true);
  if (!sure) return;
  await attempt(async () => {
    const asked = await api("DELETE", `/instance/${name}`);
    say(`Job ${asked.id}: ${name} will be destroyed.`);
    await refresh();
  });
}

// --- the tabs of one instance ---------------------------------------------------------------------

const fact = (name, value) => [h("div", {}, h("dt", {}, name), h("dd", {}, value ?? "–"))];

const TABS = {
  async Overview(one) {
    const rows = await api("GET", `/instance/${one.id}/state?hours=${HOURS}`);
    const looks = rows.length, up = rows.filter((row) => row.state === "RUNNING").length;
    const secret = h("dd", {}, h("button", { onclick: async (event) => {
      const login = await attempt(() => api("GET", `/instance/${one.id}/credentials`));
      if (login) event.target.parentElement.replaceChildren(h("span", { class: "code" }, `${login.user} / ${login.password}`));
    } }, "Show"));
    secret.firstChild.className = "inline";
    return [
      h("dl", { class: "facts" },
        fact("Engine", engine(one)), fact("Address", h("span", { class: "code" }, `${one.host}:${one.port}`)),
        fact("Class", one.class), fact("Owner", one.username || "–"), fact("Memory", one.memory ? `${one.memory} MiB` : null),
        fact("Data", size(one.db_size)), fact("Log", size(one.log_size)), fact("Room of each", one.disk ? `${one.disk} GiB` : null),
        fact("Connections", one.no_connections), fact("Created", when(one.creation_date)), fact("Description", one.description),
        fact("Project", one.project), fact("Last seen", when(one.seen)),
        fact("Answered", looks ? `${((100 * up) / looks).toFixed(1)} % of ${looks} looks` : null),
        h("div", {}, h("dt", {}, "Administrator"), secret)),
      h("h2", {}, "Answer time and state ", h("span", { class: "dim" }, `last ${HOURS} hours`)),
      looks ? answers(rows, HOURS) : h("p", { class: "empty" }, "The state checker has not looked yet."),
    ];
  },

  async Backups(one) {
    const [{ backups: found, schedule, runs }, days] = await Promise.all([
      api("GET", `/instance/${one.id}/backup`), api("GET", `/backups-per-day?days=${DAYS}&instance=${one.id}`)]);
    const missed = new Map(runs.map((run) => [run.job, run]));
    const field = (name, label, value, most, least = 0) => h("label", {}, label, h("input", { class: "short", type: "number", name, value, min: least, max: most }));
    const form = h("form", { class: "row", id: "schedule", onsubmit: (event) => {
      event.preventDefault();
      const given = Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, Number(value)]));
      ask("ENABLE_AUTOMATIC_BACKUPS", one.id, given);
    } },
      field("every", "Every (hours)", schedule?.every ?? 24, 168, 1), field("hour", "from (hour, UTC)", schedule?.hour ?? 3, 23),
      h("label", {}, "of, if weekly", h("select", { name: "day" }, ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        .map((name, i) => h("option", { value: i, selected: i === (schedule?.day ?? 0) }, name)))),
      field("keep", "keep", schedule?.keep ?? 7, 1000, 1),
      does("drill") ? field("drill", "try one every (days, 0: never)", schedule?.drill ?? 7, 365) : null,
      h("button", { class: "primary" }, schedule ? "Change" : "Switch on"),
      schedule ? h("button", { type: "button", onclick: () => ask("DISABLE_AUTOMATIC_BACKUPS", one.id) }, "Switch off") : null);
    return [
      h("div", {},
        h("div", { class: "wide" },
          h("h2", {}, "Backups"),
          found.length ? h("table", { id: "backups" },
            h("thead", {}, h("tr", {}, h("th", {}, "made (UTC)"), h("th", {}, "id"), h("th", {}, "by"), h("th", {}, "tried (UTC)"), h("th", {}))),
            h("tbody", {}, [...found].reverse().map((backup) => h("tr", { data: { backup: backup.id } },
              h("td", {}, when(backup.at)), h("td", { class: "code" }, backup.id), h("td", {}, (backup.automatic ? "schedule" : "hand") + (backup.until ? `, until ${when(backup.until).slice(0, 10)}` : "")),
              h("td", {}, backup.damaged ? h("span", { class: "bad", title: backup.damaged }, "damaged") : backup.drilled ? when(backup.drilled).slice(0, 10) : "–"),
              h("td", { class: "number" },
                does("restore") ? h("button", { data: { job: "RESTORE" }, onclick: () => restore(one.id, found, backup.id) }, "Restore…") : null,
                does("clone") ? h("button", { onclick: () => clone(one.id, backup.id) }, "Clone…") : null,
                does("drill") ? h("button", { data: { job: "DRILL" }, onclick: () => ask("DRILL", one.id, { backup: backup.id }) }, "Try") : null,
                does("backup-delete") ? h("button", { data: { job: "DELETE_BACKUP" }, onclick: () => deleteBackup(one.id, backup.id) }, "Delete…") : null)))))
            : h("p", { class: "empty" }, "There is no backup yet.")),
        h("div", { class: "narrow" }, h("h2", {}, "A day"), backups(days, DAYS))),
      does("automatic-backups") ? h("h2", {}, "Automatic backups ", h("span", { class: "dim" }, schedule ? `next ${when(schedule.next)} UTC` : "off")) : null,
      does("automatic-backups") ? form : null,
      [...missed.values()].some((run) => run.missed) ? h("p", { class: "dim" }, "Missed while no server ran: ",
        [...missed.values()].filter((run) => run.missed).slice(0, 3).map((run) => `${run.missed} until ${when(run.at)} (made up by job ${run.job})`).join("; ")) : null,
    ];
  },

  async Configuration(one) {
    const settings = await api("GET", `/instance/${one.id}/config`);
    const form = h("form", { class: "row", onsubmit: (event) => {
      event.preventDefault();
      const { key, value } = Object.fromEntries(new FormData(form));
      ask("UPLOAD_CONFIG", one.id, { settings: { [key]: value } });
    } },
      h("label", {}, "Setting", h("input", { name: "key", required: true, placeholder: "max_connections" })),
      h("label", {}, "Value", h("input", { name: "value", required: true })),
      h("button", { class: "primary" }, "Set and restart"));
    const rows = Object.entries(settings);
    return [
      h("p", { class: "dim" }, "Settings of the engine’s own configuration file, on top of the defaults. They are tried in a server of their own first."),
      rows.length ? h("table", {}, h("tbody", {}, rows.map(([key, value]) => h("tr", {}, h("td", { class: "code" }, key), h("td", { class: "code" }, value)))))
        : h("p", { class: "empty" }, "Nothing is set: the defaults hold."),
      form,
    ];
  },

  async Log(one) {
    const lines = await api("GET", `/instance/${one.id}/log`);
    return [h("pre", {}, lines.join("\n") || "It has said nothing.")];
  },

  async History(one) {
    const rows = await api("GET", `/instance/${one.id}/history`);
    return [h("table", {}, h("thead", {}, h("tr", {}, ["when (UTC)", "who", "what", "before", "after"].map((name) => h("th", {}, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, h("td", {}, when(row.at)), h("td", {}, row.who), h("td", {}, row.attribute),
        h("td", { class: "code" }, row.old ?? "–"), h("td", { class: "code" }, row.new ?? "–")))))];
  },
};
const NEEDS = { Backups: "backups", Configuration: "config-get", Log: "logs" };

// --- drawing -------------------------------------------------------------------------------------

function button(text, job, one, operation, off, onclick) {
  if (!does(operation)) return null;
  return h("button", { disabled: off, data: { job }, onclick: (event) => {
    event.stopPropagation();
    (onclick ?? (() => ask(job, one.id)))();
  } }, text);
}

function drawHead() {
  $("#served").textContent = `provider ${service.provider}`
    + (service.restarts ? `, workers started again: ${service.restarts}` : "");
  $("#clock").textContent = `${when(service.now)} UTC`;
  $("#trouble").hidden = !service.trouble;
  $("#trouble").textContent = service.trouble;
  $("#alarms").hidden = !service.alarms.length;
  $("#alarms").replaceChildren(...service.alarms.map((one) => h("li", { data: { what: one.what } }, h("b", {}, one.what),
    ` since ${when(one.since)} UTC, ${one.tries} ${one.tries > 1 ? "times" : "time"}. ${one.error} Tried again at ${when(one.next)} UTC.`)));
  const seen = {};
  for (const one of instances) seen[one.state] = (seen[one.state] ?? 0) + 1;
  const waiting = service.jobs.PENDING + service.jobs.RUNNING;
  $("#counts").replaceChildren(...Object.entries(seen).sort().map(([state, n]) => h("span", { class: `pill ${state}` }, `${n} ${state.replace("_", " ")}`)),
    ...(waiting ? [" ", h("span", { class: "pill PENDING" }, `${waiting} job${waiting > 1 ? "s" : ""} to do`)] : []));
}

function drawInstances() {
  $("#none").hidden = instances.length > 0;
  $("#instances tbody").replaceChildren(...instances.map((one) => {
    const stopped = one.state === "STOPPED", running = one.state === "RUNNING";
    return h("tr", { class: one.id === chosen ? "chosen" : "", data: { name: one.id, state: one.state }, onclick: () => choose(one.id) },
      h("td", {}, h("input", { type: "checkbox", "aria-label": `choose ${one.id}`, checked: marked.has(one.id), onclick: (event) => {
        event.stopPropagation();
        if (event.target.checked) marked.add(one.id); else marked.delete(one.id);
        drawMany();
      } })),
      h("td", {}, pill(one.state)), h("td", {}, h("b", {}, one.id), one.description ? h("div", { class: "dim" }, one.description) : null),
      h("td", {}, engine(one)), h("td", {}, h("span", { class: `class ${one.class}` }, one.class ?? "–")),
      h("td", { class: "code" }, `${one.host}:${one.port}`), h("td", {}, one.username || "–"),
      h("td", { class: "number" }, one.memory ? `${one.memory} MiB` : "–"), h("td", {}, one.automatic_backups ? "automatic" : h("span", { class: "dim" }, "by hand")),
      h("td", {}, stopped ? button("Start", "STARTUP", one, "start", false) : button("Stop", "SHUTDOWN", one, "stop", !running),
        button("Back up", "BACKUP", one, "backup", !running)));
  }));
}

const WORDS = { PENDING: "waiting", RUNNING: "running", FINISHED_OK: "ok", FINISHED_WARNING: "warning", FINISHED_FAIL: "failed" };

// The same job for every instance that is marked.
const MANY = [["Start", "STARTUP", "start"], ["Stop", "SHUTDOWN", "stop"], ["Back up", "BACKUP", "backup"], ["Upgrade", "UPGRADE", "upgrade"],
  ["Maintenance", "BEGIN_MAINTENANCE", "maintenance"], ["End maintenance", "END_MAINTENANCE", "maintenance"]];

function drawMany() {
  for (const name of marked) if (!instances.some((one) => one.id === name)) marked.delete(name);
  $("#many").hidden = marked.size === 0;
  $("#many").replaceChildren(h("span", { class: "dim" }, `${marked.size} marked:`), ...MANY.filter(([, , operation]) => does(operation)).map(([text, job]) =>
    h("button", { data: { many: job }, onclick: () => attempt(async () => {
      for (const name of [...marked].sort()) await api("POST", `/rundeck/job/${job}/${name}`);
      say(`${job} of ${marked.size} instances is accepted.`);
      marked.clear();
      await refresh();
    }) }, text)));
}

function drawJobs() {
  $("#jobs").replaceChildren(...jobs.map((job) => {
    const log = h("pre", {});
    const fill = async () => {
      const whole = await attempt(() => api("GET", `/job/${job.id}`));
      if (whole) log.textContent = whole.entries.map((entry) => entry.log).join("\n") || "It has said nothing yet.";
    };
    const details = h("details", { open: open.has(job.id), ontoggle: () => {
      if (details.open) { open.add(job.id); fill(); } else open.delete(job.id);
    } },
      h("summary", {}, h("span", { class: `pill ${job.state}`, title: job.state }, WORDS[job.state]), h("span", { class: "what" }, `${job.job.replaceAll("_", " ").toLowerCase()} ${job.instance}`),
        h("span", { class: "dim when" }, `${when(job.completion_date ?? job.begin_date ?? job.creation_date).slice(5, 16)}  #${job.id}, ${job.asker}`)),
      log);
    return h("li", { class: "job", data: { id: job.id, job: job.job, state: job.state, instance: job.instance } }, details,
      job.error ? h("p", { class: "why bad" }, job.error.cause) : job.state === "FINISHED_WARNING" ? h("p", { class: "why" }, job.why) : null);
  }));
}

async function drawDetail() {
  const one = instances.find((found) => found.id === chosen);
  $("#detail").hidden = !one;
  if (!one) { shownAfter = null; return; }
  $("#detail h2").textContent = one.id;
  const state = $("#detail .title .pill");
  state.textContent = one.state.replace("_", " ");
  state.className = `pill ${one.state}`;
  const running = one.state === "RUNNING", stopped = one.state === "STOPPED", kept = one.state === "MAINTENANCE";
  $("#actions").replaceChildren(...[
    button("Start", "STARTUP", one, "start", !stopped), button("Stop", "SHUTDOWN", one, "stop", !running),
    button("Back up", "BACKUP", one, "backup", !running), button("Memory…", "RESIZE", one, "resize", kept, () => resize(one)),
    button(kept ? "End maintenance" : "Maintenance", kept ? "END_MAINTENANCE" : "BEGIN_MAINTENANCE", one, "maintenance", false),
    button("Destroy…", "DESTROY", one, "destroy", false, () => destroy(one.id)),
  ].filter(Boolean));
  const ended = jobs.find((job) => job.instance === one.id && job.completion_date)?.id ?? 0;
  const mark = `${one.id} ${tab} ${ended} ${Math.floor(Date.now() / 60000)}`;
  // what is being typed must not be drawn over
  if (mark === shownAfter || ($("#tab").contains(document.activeElement) && shownAfter?.startsWith(`${one.id} ${tab} ${ended} `))) return;
  shownAfter = mark;
  $("#tabs").replaceChildren(...Object.keys(TABS).filter((name) => !NEEDS[name] || does(NEEDS[name])).map((name) =>
    h("button", { role: "tab", "aria-selected": String(name === tab), onclick: () => { tab = name; shownAfter = null; attempt(drawDetail); } }, name)));
  const inside = await TABS[tab](one);
  if (shownAfter === mark) $("#tab").replaceChildren(...inside.flat().filter(Boolean));
}

async function drawGraphs() {
  if (Date.now() - graphsAt < 30000) return;
  graphsAt = Date.now();
  const [states, days] = await Promise.all([api("GET", `/states?hours=${HOURS}`), api("GET", `/backups-per-day?days=${DAYS}`)]);
  $("#fleet-states").replaceChildren(fleet(states, HOURS));
  $("#fleet-backups").replaceChildren(backups(days, DAYS), h("div", { class: "legend" },
    [["automatic", "schedule"], ["hand", "by hand"], ["failed", "failed"]].map(([kind, text]) => h("span", {}, h("i", { class: `b-${kind}` }), text))));
}

function choose(name) {
  chosen = name;
  location.hash = name;
  shownAfter = null;
  drawInstances();
  attempt(drawDetail);
}

let jobsShown = "";
async function refresh() {
  [service, instances, jobs] = await Promise.all([api("GET", "/service"), api("GET", "/instance"), api("GET", "/job?limit=40")]);
  drawHead();
  drawInstances();
  drawMany();
  const marks = jobs.map((job) => `${job.id}${job.state}`).join();
  if (marks !== jobsShown) {
    if (jobs.some((job) => job.job === "BACKUP" && job.completion_date && !jobsShown.includes(`${job.id}${job.state}`))) graphsAt = 0;
    jobsShown = marks;
    drawJobs();
  }
  await drawDetail();
  await drawGraphs();
}

async function forever() {
  await attempt(refresh);
  setTimeout(forever, EVERY);
}

$("#new").addEventListener("click", create);
addEventListener("hashchange", () => { const name = decodeURIComponent(location.hash.slice(1)); if (name !== chosen) choose(name); });
forever();
