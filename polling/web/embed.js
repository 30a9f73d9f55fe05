// Step 7 of 7, show: the element <live-poll poll="…">, which shows a poll in a page of another site.
customElements.define("live-poll", class extends HTMLElement {});
