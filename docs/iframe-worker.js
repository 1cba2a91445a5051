/* Search, where the site is opened as a file: a browser starts no Worker there. An iframe is its stand-in; without this
   file the theme's plugin `offline` would load one from the network, and without a network there would be no search. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.ready = new Promise(done => {
        this.frame.addEventListener("load", () => {
          const inside = this.frame.contentWindow
          const load = src => new Promise(loaded => {
            const script = inside.document.createElement("script")
            script.src = src
            script.onload = loaded
            inside.document.head.append(script)
          })
          inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
          inside.importScripts = (...all) => all.reduce((before, src) => before.then(() => load(src)), Promise.resolve())
          load(url).then(done)
        }, { once: true })
      })
      this.frame.srcdoc = "<!doctype html><title>search</title>"
      document.body.append(this.frame)
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
