// Step 7 of 7, show: the rows of options while a poll is written: by Enter, by paste, moved by drag and by keys.
import { calm, colour, element, icon, letter, say, t } from "./core.js";

const MAX = 100;

export class Rows {
  // list: an <ol>. changed(): somebody typed, added, took away or moved. done(): Enter in an empty last row.
  constructor(list, { changed, done }) {
    this.list = list;
    this.changed = changed;
    this.done = done;
  }

  get all() {
    return [...this.list.children];
  }

  get texts() {
    return this.all.map((row) => input(row).value);
  }

  set texts(texts) {
    this.list.replaceChildren(...texts.slice(0, MAX).map((text) => this.row(text)));
    while (this.all.length < 2) this.list.append(this.row(""));
    this.number();
  }

  // A new row after `row`, or at the end; returns what one types in, or null where there are enough.
  add(text = "", row = this.list.lastElementChild) {
    if (this.all.length >= MAX) {
      say(t("create.full", { n: MAX }));
      return null;
    }
    const made = this.row(text);
    row.after(made);
    this.number();
    this.changed();
    return input(made);
  }

  row(text) {
    const row = element("li", { className: "edit" });
    const grip = element("button", { type: "button", className: "grip round" }, element("span"));
    const field = element("input", { type: "text", className: "field", value: text, autocomplete: "off", dir: "auto", enterKeyHint: "next" });
    const remove = element("button", { type: "button", className: "round", onclick: () => this.remove(row) }, icon("cross"));
    field.oninput = () => {
      this.wrong(row, "");
      this.changed();
    };
    field.onkeydown = (event) => this.onKey(event, row);
    field.onpaste = (event) => this.onPaste(event, row);
    grip.onkeydown = (event) => this.onGripKey(event, row);
    grip.onpointerdown = (event) => this.drag(event, row, grip);
    row.append(grip, field, remove);
    return row;
  }

  number() {
    const rows = this.all;
    rows.forEach((row, index) => {
      const [grip, field, remove] = row.children;
      const n = index + 1;
      row.dataset.c = colour(index);
      grip.firstElementChild.textContent = letter(index);
      grip.setAttribute("aria-label", t("create.grip", { n }));
      grip.title = t("create.move");
      field.setAttribute("aria-label", t("create.option", { n }));
      field.placeholder = index < 2 || index === rows.length - 1 ? t("create.option", { n }) : "";
      remove.setAttribute("aria-label", t("create.remove", { n }));
      remove.hidden = rows.length <= 2;
    });
  }

  remove(row) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    this.number();
    this.changed();
    input(next).focus();
  }

  // What is wrong with a row, in words; "" for nothing.
  wrong(row, text) {
    row.querySelector(".wrong")?.remove();
    input(row).toggleAttribute("aria-invalid", Boolean(text));
    if (!text) return input(row).removeAttribute("aria-describedby");
    input(row).setAttribute("aria-invalid", "true");
    const id = `wrong-${this.all.indexOf(row)}`;
    input(row).setAttribute("aria-describedby", id);
    row.append(element("p", { className: "wrong", id }, icon("alert"), text));
  }

  onKey(event, row) {
    const field = event.target;
    const way = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (way && event.altKey) this.step(event, row, way);
    else if (way && !event.isComposing) {
      const there = way < 0 ? row.previousElementSibling : row.nextElementSibling;
      if (there) input(there).focus();
    } else if (event.key === "Enter" && !event.isComposing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const next = row.nextElementSibling;
      if (!field.value.trim() && !next) this.done();
      else if (next && !input(next).value.trim()) input(next).focus();
      else this.add("", row)?.focus();
    } else if (event.key === "Backspace" && !field.value && this.all.length > 2) {
      event.preventDefault();
      const back = row.previousElementSibling ?? row.nextElementSibling;
      this.remove(row);
      input(back).focus();
    }
  }

  onGripKey(event, row) {
    const way = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (way) this.step(event, row, way);
  }

  // Many lines at once become as many options, without the signs that lists begin their lines with.
  onPaste(event, row) {
    const lines = event.clipboardData.getData("text").split(/[\r\n\u2028\u2029]+/);
    const texts = lines.map((line) => line.replace(/^\s*(?:[-*•·–]|\d{1,3}[.)])\s+/, "").trim()).filter(Boolean);
    if (texts.length < 2) return;
    event.preventDefault();
    const field = input(row);
    let last = row;
    if (!field.value.trim()) field.value = texts.shift();
    let added = 0;
    for (const text of texts) {
      const next = last.nextElementSibling;
      if (next && !input(next).value.trim()) {
        input(next).value = text;
        last = next;
      } else if (this.all.length < MAX) {
        last.after(this.row(text));
        last = last.nextElementSibling;
      } else break;
      added++;
    }
    this.number();
    this.changed();
    input(last).focus();
    const lost = texts.length - added;
    say(lost ? t("create.tooMany", { n: lost }) : t("create.pasted", { n: this.all.length }));
  }

  // The row itself stays and its neighbour goes round it: so it keeps the focus, and the pointer that holds it.
  step(event, row, way) {
    event.preventDefault();
    if (this.swap(row, way)) this.tell(row);
  }

  swap(row, way) {
    const other = way < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return false;
    const before = other.offsetTop;
    if (way < 0) row.after(other);
    else row.before(other);
    if (!calm.matches) other.animate([{ transform: `translateY(${before - other.offsetTop}px)` }, { transform: "none" }], { duration: 160, easing: "ease-out" });
    this.number();
    this.changed();
    return true;
  }

  tell(row) {
    const index = this.all.indexOf(row);
    say(t("create.moved", { text: input(row).value || letter(index), place: index + 1, of: this.all.length }));
  }

  drag(event, row, grip) {
    if (event.button !== 0) return;
    grip.setPointerCapture(event.pointerId);
    row.classList.add("held");
    let from = event.clientY;
    let moved = false;
    grip.onpointermove = (at) => {
      let dy = at.clientY - from;
      // A quick hand is past several rows at the next move that the browser tells of.
      for (;;) {
        const other = dy < 0 ? row.previousElementSibling : row.nextElementSibling;
        const top = row.offsetTop;
        if (!other || Math.abs(dy) <= other.offsetHeight / 2 + 4 || !this.swap(row, Math.sign(dy))) break;
        from += row.offsetTop - top;
        dy = at.clientY - from;
        moved = true;
      }
      row.style.transform = `translateY(${dy}px)`;
    };
    grip.onpointerup = grip.onpointercancel = () => {
      grip.onpointermove = grip.onpointerup = grip.onpointercancel = null;
      row.classList.remove("held");
      row.style.transform = "";
      if (moved) this.tell(row);
    };
  }
}

const input = (row) => row.querySelector("input");
