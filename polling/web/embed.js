// Step 7 of 7, show: the element <live-poll poll="…" theme="light|dark|auto" lang="…">: a poll in a page of another site,
// in a frame as high as what it shows.
"use strict";
(() => {
  const script = document.currentScript ?? document.querySelector('script[src$="/embed.js"]');
  const origin = new URL(script.src).origin;
  const LOWEST = 80;
  const HIGHEST = 6000; // px

  class LivePoll extends HTMLElement {
    static observedAttributes = ["poll", "theme", "lang"];

    connectedCallback() {
      this.listen = (event) => {
        // Only the frame of this element, showing a page of ours, may say how high it is.
        if (event.origin !== origin || event.source !== this.frame?.contentWindow) return;
        const { type, height } = event.data ?? {};
        if (type === "live-poll" && Number.isFinite(height)) this.frame.style.height = `${Math.min(HIGHEST, Math.max(LOWEST, Math.ceil(height)))}px`;
      };
      addEventListener("message", this.listen);
      this.show();
    }

    disconnectedCallback() {
      removeEventListener("message", this.listen);
    }

    attributeChangedCallback() {
      if (this.isConnected && this.listen) this.show();
    }

    show() {
      const poll = this.getAttribute("poll") ?? "";
      if (!/^[\w-]{1,64}$/.test(poll)) return this.replaceChildren();
      const address = new URL(`/p/${poll}/embed`, origin);
      address.searchParams.set("theme", this.getAttribute("theme") ?? "auto");
      if (this.hasAttribute("lang")) address.searchParams.set("lang", this.getAttribute("lang"));
      this.frame = document.createElement("iframe");
      this.frame.src = address;
      this.frame.title = this.getAttribute("title") ?? "Live poll";
      this.frame.loading = "lazy";
      Object.assign(this.frame.style, { display: "block", width: "100%", height: "320px", border: "0", colorScheme: "normal" });
      this.style.display ||= "block";
      this.replaceChildren(this.frame);
    }
  }
  if (!customElements.get("live-poll")) customElements.define("live-poll", LivePoll);
})();
