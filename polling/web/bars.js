// Step 7 of 7, show: a poll's options as bars: a list that is read as text, and moves by transform alone.
import { colour, element, icon, letter, number, percent, t } from "./core.js";

export class Bars {
  // list: an <ol>. vote(optionId): somebody chose; without it the bars are only looked at.
  constructor(list, { vote } = {}) {
    this.list = list;
    this.vote = vote;
    this.made = "";
    this.rows = [];
  }

  // state: {poll, chosen, sure, votable, busy, concealed}: `sure` is whether the choice has reached the log; `concealed`
  // shows options without their results. The first is drawn at once, the others with the next frame; what comes before
  // that replaces it.
  show(state) {
    if (!this.made) return this.draw(state);
    this.next = state;
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.draw(this.next);
    });
  }

  draw({ poll, chosen, sure, votable, busy, concealed }) {
    const pressable = Boolean(this.vote) && votable;
    const wanted = `${pressable}|${poll.options.map((option) => `${option.id}:${option.text}`).join("|")}`;
    if (wanted !== this.made) this.build(poll, pressable);
    this.made = wanted;
    const shown = !concealed && !poll.results_hidden;
    const most = Math.max(...poll.options.map((option) => option.votes ?? 0));
    const won = shown && poll.status === "closed" && most > 0;
    poll.options.forEach((option, index) => {
      const row = this.rows[index];
      const mine = option.id === chosen;
      const share = shown ? option.share : 0;
      row.bar.style.setProperty("--share", String(share));
      row.bar.toggleAttribute("data-empty", !share);
      row.bar.classList.toggle("asked", !shown);
      row.bar.classList.toggle("mine", mine);
      row.figures.hidden = !shown;
      set(row.share, shown ? percent(option.share) : "");
      set(row.votes, shown ? t("count.votes", { n: option.votes }) : "");
      const best = won && option.votes === most;
      row.mine.hidden = !mine || !sure;
      row.doing.hidden = !mine || sure;
      row.best.hidden = !best;
      if (pressable) {
        row.bar.setAttribute("aria-pressed", String(mine));
        row.bar.setAttribute("aria-disabled", String(busy));
      }
    });
  }

  build(poll, pressable) {
    const held = this.rows.findIndex((row) => row.bar === document.activeElement);
    this.rows = poll.options.map((option, index) => this.row(option, index, pressable));
    this.list.replaceChildren(...this.rows.map((row) => element("li", {}, row.bar)));
    if (held >= 0 && pressable) this.rows[held]?.bar.focus();
  }

  row(option, index, pressable) {
    const bar = element(pressable ? "button" : "div", { className: "bar", dataset: { c: colour(index), option: option.id } });
    const share = element("span", { className: "share" });
    const votes = element("span", { className: "votes" });
    const figures = element("span", { className: "figures" }, share, " ", votes);
    const mine = element("span", { className: "tag" }, icon("check"), t("vote.yours"));
    const best = element("span", { className: "tag" }, t("results.most"));
    const doing = element("span", { className: "tag doing" }, t("step.sending.open"));
    mine.hidden = best.hidden = doing.hidden = true;
    const words = element("span", { className: "words" }, element("bdi", { className: option.text.length > 60 ? "text long" : "text", textContent: option.text }), " ", mine, doing, " ", best, " ");
    bar.append(
      element("span", { className: "fill", attributes: { "aria-hidden": "true" } }),
      element("span", { className: "mark", textContent: letter(index), attributes: { "aria-hidden": "true" } }),
      words,
      figures,
    );
    if (pressable) {
      bar.type = "button";
      bar.onclick = () => bar.getAttribute("aria-disabled") !== "true" && this.vote(option.id);
    }
    return { bar, figures, share, votes, mine, doing, best };
  }
}

function set(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// How a poll stands, in one sentence, for those who hear it.
export function spoken(poll) {
  const votes = t("count.votes", { n: poll.total_votes });
  if (poll.results_hidden || !poll.total_votes) return votes;
  const best = poll.options.reduce((one, other) => (other.votes > one.votes ? other : one));
  return t("results.spoken", { votes, option: best.text, share: percent(best.share), count: number(best.votes) });
}
