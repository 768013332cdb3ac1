/* For the shop's own pages: tells Hearth which pages those look at who came from a message, once they agreed.

   <script src="https://mail.example.com/static/visits.js" defer></script>
   …and from your consent banner, on every page, as soon as the visitor's word is known:
   hearthVisits.consent(true)    a first-party cookie keeps who came; this page and those to come are told
   hearthVisits.consent(false)   the cookie is deleted; nothing is told

   Until consent(true) nothing is stored and nothing is sent. */
(function () {
  "use strict";
  var NAME = "hearth", DAYS = 180;
  var base = new URL(document.currentScript.src).origin;
  var arrived = new URLSearchParams(location.search).get(NAME);
  var told = null;

  function kept() {
    var found = document.cookie.match(/(?:^|; )hearth=([\w-]+)/);
    return found && found[1];
  }

  function keep(token, seconds) {
    var secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = NAME + "=" + token + "; Max-Age=" + seconds + "; Path=/; SameSite=Lax" + secure;
  }

  function tell(token) {
    var page = location.origin + location.pathname + location.search;
    if (told === page) return;
    told = page;
    navigator.sendBeacon(base + "/p/" + token, new Blob([page], { type: "text/plain" }));
  }

  window.hearthVisits = {
    consent: function (agreed) {
      if (!agreed) {
        if (kept()) keep("", 0);
        return;
      }
      var token = /^[\w-]{8,64}$/.test(arrived || "") ? arrived : kept();
      if (!token) return;
      keep(token, DAYS * 86400);
      tell(token);
    },
  };
})();
