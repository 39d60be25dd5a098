// Shows the API's document. In a file of its own, because the Content-Security-Policy allows no inline script.
window.addEventListener("load", () => {
  const place = document.getElementById("swagger-ui");
  window.ui = SwaggerUIBundle({
    url: place.dataset.url,
    domNode: place,
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: 0,
    validatorUrl: null, // else a badge is fetched from elsewhere
    presets: [SwaggerUIBundle.presets.apis],
  });
});
