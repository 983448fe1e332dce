"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const at = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const numbers = new Intl.NumberFormat(page.language);
  const say = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const SHEET = 32 * 16;
  const figures = {}, views = {};
  const picking = () => at("label").value !== "";
  // Dark fruit by night and pale fruit by day would not be seen without an edge.
  const edge = () => (picking() ? 0.06 : 0.2);

  // The ink of the figures, by day and by night; printed, they are on white.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(`--${name}`).trim();
    const curves = { variance: ink("accent"), accuracy_test: ink("blue"), accuracy_train: ink("blue"), centroid_accuracy_test: ink("muted") };
    for (const plot of Object.values(figures)) {
      for (const each of [...plot.below, ...plot.left]) each.setv({ axis_label_text_color: ink("muted"), major_label_text_color: ink("muted") });
      for (const each of plot.center) {
        if (each.type.endsWith("Grid")) each.grid_line_color = ink("grid");
        if (each.name === "chosen") each.line_color = ink("ink");
      }
      for (const each of plot.renderers) {
        if (each.name in curves) for (const glyph of [each.glyph, each.hover_glyph, each.nonselection_glyph, each.muted_glyph]) {
          if (!glyph || typeof glyph === "string") continue;
          glyph.line_color = each.glyph.type === "Line" ? curves[each.name] : null;
          if (glyph.fill_color !== undefined) glyph.fill_color = { value: curves[each.name] };
        }
        if (each.name === "mark") each.glyph.line_color = { value: ink("ink") };
        if (each.name === "picked" || each.name === "photos") each.glyph.setv({ line_color: { value: ink("ink") }, line_alpha: { value: each.name === "photos" ? edge() : 1 } });
      }
    }
  };
  dark.addEventListener("change", paint);

  // One k for the whole page.
  const choose = (k) => {
    for (const each of all("[data-k]")) each.hidden = each.dataset.k !== k;
    const line = figures.choice && figures.choice.center.find((each) => each.name === "chosen");
    if (line) line.location = Number(k);
  };
  for (const each of all("input[name=k]")) each.addEventListener("change", () => choose(each.value));

  if (at("find")) at("find").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const each of at("labels").children) each.hidden = !each.firstElementChild.textContent.toLowerCase().includes(wanted);
  });

  // The map.
  const photos = page.photos;
  let base, picked, mark, hovered = null, pinned = null;
  const tile = (photo) => {
    const span = document.createElement("span"), place = photos.place[photo];
    span.setAttribute("role", "img");
    span.setAttribute("aria-label", page.labels[photos.label[photo]]);
    if (place === null) {
      span.className = "p bare";
      span.style.backgroundColor = base.data_source.data.colour[photo];
      return span;
    }
    const inside = place % SHEET;
    span.className = `p s${Math.floor(place / SHEET)}`;
    span.style.setProperty("--c", inside % 32);
    span.style.setProperty("--r", Math.floor(inside / 32));
    return span;
  };
  const show = (photo) => {
    const card = at("card-template").content.cloneNode(true);
    card.querySelector(".photo").append(tile(photo));
    card.querySelector(".name").textContent = page.labels[photos.label[photo]];
    card.querySelector(".split").textContent = photos.split[photo];
    card.querySelector(".path").textContent = photos.path[photo];
    for (const near of photos.near[photo]) {
      const button = document.createElement("button");
      button.type = "button";
      button.title = page.labels[photos.label[near]];
      button.append(tile(near));
      button.addEventListener("click", () => pin(near));
      card.querySelector(".tiles").append(button);
    }
    at("card").replaceChildren(card);
    const source = base.data_source.data, spot = { photo: [photo] };
    for (const name of Object.keys(source)) spot[name] = [source[name][photo]];
    mark.data_source.data = spot;
  };
  const tip = at("tip");
  const point_out = (photo, geometry) => {
    tip.hidden = photo === null;
    if (photo === null) return;
    const name = document.createElement("span");
    name.textContent = page.labels[photos.label[photo]];
    tip.replaceChildren(tile(photo), name);
    const box = at("figure-map").getBoundingClientRect(), left = geometry.sx > box.width / 2;
    tip.style.left = left ? "" : `${geometry.sx + 24}px`;
    tip.style.right = left ? `${box.width - geometry.sx + 16}px` : "";
    tip.style.top = `${Math.min(Math.max(geometry.sy - 40, 4), box.height - 110)}px`;
  };
  const pin = (photo) => { pinned = photo; show(photo); };
  const point = (photo) => {
    if (photo === hovered) return;
    hovered = photo;
    if (photo !== null) show(photo);
    else if (pinned !== null) show(pinned);
  };
  const chosen = () => !picking() ? photos.path.map((_, photo) => photo) : photos.label.flatMap((label, photo) => label === Number(at("label").value) ? [photo] : []);
  const step = (by) => {
    const among = chosen(), now = among.indexOf(pinned);
    pin(among[now < 0 ? 0 : (now + by + among.length) % among.length]);
  };
  const pick = () => {
    const among = chosen(), filtered = picking();
    const source = base.data_source.data, rows = { photo: filtered ? among : [] };
    for (const name of Object.keys(source)) rows[name] = rows.photo.map((photo) => source[name][photo]);
    picked.data_source.data = rows;
    base.glyph.setv({ fill_alpha: { value: filtered ? 0.12 : 0.75 }, line_alpha: { value: edge() } });
    at("shown").textContent = say(page.words.shown, { n: numbers.format(among.length) });
    pinned = null;
    if (filtered) pin(among[0]);
  };
  const frame = () => {
    const plot = figures.map, source = base.data_source.data;
    for (const [range, field] of [[plot.x_range, base.glyph.x.field], [plot.y_range, base.glyph.y.field]]) {
      let low = Infinity, high = -Infinity;
      for (const value of source[field]) { low = Math.min(low, value); high = Math.max(high, value); }
      const edge = 0.04 * (high - low) || 1;
      range.setv({ start: low - edge, end: high + edge });
    }
  };
  const turn = () => {
    const across = at("across") ? at("across").value : "0", up = at("up") ? at("up").value : "1";
    for (const each of [base, picked, mark]) { each.glyph.x = { field: `c${across}` }; each.glyph.y = { field: `c${up}` }; }
    const name = (place) => say(page.words.axis, { n: Number(place) + 1, share: page.shares[place] });
    figures.map.below[0].axis_label = name(across);
    if (at("up")) figures.map.left[0].axis_label = name(up);
    else figures.map.left[0].visible = false;
    frame();
  };
  const zoom = (factor) => {
    for (const range of [figures.map.x_range, figures.map.y_range]) {
      const middle = (range.start + range.end) / 2, half = (factor * (range.end - range.start)) / 2;
      range.setv({ start: middle - half, end: middle + half });
    }
  };
  const start_map = () => {
    [base, picked, mark] = ["photos", "picked", "mark"].map((name) => figures.map.renderers.find((each) => each.name === name));
    const found = (source, rows) => rows.length ? (source === base.data_source ? rows[0] : source.data.photo[rows[0]]) : null;
    const near = ([, { geometry }]) => {
      const at_top = found(picked.data_source, picked.data_source.inspected.indices);
      const below = !picking() ? found(base.data_source, base.data_source.inspected.indices) : null;
      const photo = at_top === null ? below : at_top;
      if (Number.isFinite(geometry.sx) || photo === null) point_out(photo, geometry);
      point(photo);
    };
    for (const source of [base.data_source, picked.data_source]) {
      source.inspect.connect(near);
      source.selected.properties.indices.change.connect(() => {
        const photo = found(source, source.selected.indices);
        if (photo !== null) pin(photo);
      });
    }
    // A finger that drags across the map scrolls the page.
    if (matchMedia("(pointer: coarse)").matches) figures.map.toolbar.active_drag = null;
    at("label").addEventListener("change", pick);
    for (const id of ["across", "up"]) if (at(id)) at(id).addEventListener("change", turn);
    at("zoom-in").addEventListener("click", () => zoom(1 / 1.6));
    at("zoom-out").addEventListener("click", () => zoom(1.6));
    at("reset").addEventListener("click", frame);
    at("previous").addEventListener("click", () => step(-1));
    at("next").addEventListener("click", () => step(1));
    turn();
  };

  // A printed page shows everything, its figures as they are on white, scaled to the paper.
  const open = [];
  addEventListener("beforeprint", () => {
    for (const each of all("details:not([open])")) { each.open = true; open.push(each); }
    document.documentElement.classList.add("paper");
    paint();
    for (const [name, view] of Object.entries(views)) {
      // Bokeh works out the look of its glyphs later, and a print does not wait.
      for (const each of view.model.renderers) view.views.get_one(each).set_visuals();
      const picture = new Image();
      picture.alt = "";
      picture.src = view.export("png", true).canvas.toDataURL();
      at(`figure-${name}`).append(picture);
    }
  });
  addEventListener("afterprint", () => {
    for (const each of open.splice(0)) each.open = false;
    for (const each of all(".chart > img")) each.remove();
    document.documentElement.classList.remove("paper");
    paint();
  });

  const draw = async () => {
    for (const [name, item] of Object.entries(page.figures)) {
      const drawn = await Bokeh.embed.embed_item(item, `figure-${name}`);
      views[name] = [...drawn.roots][0];
      figures[name] = views[name].model;
    }
    if (figures.map) start_map();
    paint();
    document.documentElement.dataset.ready = "true";
  };
  draw();
})();
