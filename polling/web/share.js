// Step 7 of 7, show: a poll's link, its QR code, the manager's link and the line to embed it, each to copy.
import { firstPoll } from "./api.js";
import { $, known, note, pollId, ready, t, toast } from "./core.js";

await ready;
const given = location.hash.slice(1);
if (/^[\w-]{20,}$/.test(given)) {
  note(pollId, { token: given });
  history.replaceState(null, "", location.pathname + location.search);
}
const { token } = known(pollId);
const link = `${location.origin}/p/${pollId}`;

$("link").value = link;
$("short").textContent = link.replace(/^https?:\/\//, "");
$("short").href = link;
$("embed").value = `<script src="${location.origin}/embed.js" async></script><live-poll poll="${pollId}"></live-poll>`;
$("admin-part").hidden = !token;
if (token) $("admin").value = `${link}/admin#${token}`;
$("qr").src = `/p/${pollId}/qr.svg`;
$("qr-load").href = `/p/${pollId}/qr.svg?download=1`;
for (const [id, end] of Object.entries({ "to-vote": "", "to-present": "/present", "to-admin": "/admin" })) $(id).href = `/p/${pollId}${end}`;
$("to-admin").hidden = !token;

for (const button of document.querySelectorAll("[data-copies]")) {
  button.onclick = async () => {
    const field = $(button.dataset.copies);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      toast(t("share.copied"));
    } catch {
      toast(t("share.selected"), "bad"); // no permission, or no https: it is selected, and can be copied by hand
    }
  };
}

$("send").hidden = !navigator.share;
$("send").onclick = () => navigator.share({ title: $("question").textContent, url: link }).catch(() => undefined);

try {
  const poll = await firstPoll(token);
  $("question").textContent = poll.question;
  document.title = `${poll.question} · ${t("brand")}`;
  if (token) note(pollId, { question: poll.question });
} catch (problem) {
  toast(problem.message, "bad");
}
document.body.dataset.ready = "";
