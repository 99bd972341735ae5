// Draws the design points of the page, says what is under the pointer or the keyboard, and the curve of the
// selected point. Texts come from the data and are set as text, never as markup.
(function () {
  "use strict";
  function get(id) { return document.getElementById(id); }
  var data = JSON.parse(get("explore-data").textContent);
  var section = get("explore"), tip = get("explore-tip");
  var pareto = get("explore-pareto"), curve = get("explore-curve"), note = get("explore-note");
  var SVG = pareto.querySelector("svg").namespaceURI;
  var REACH = 24; // pixels from the pointer within which a point is meant
  var off = data.series.map(function () { return false; });
  var selected = data.answer, enlarged = false;

  function add(parent, name, attributes, text) {
    var made = document.createElementNS(parent.namespaceURI === SVG || name === "svg" ? SVG : parent.namespaceURI, name);
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    if (text !== undefined) { made.textContent = text; }
    parent.appendChild(made);
    return made;
  }
  function clear(node) { while (node.firstChild) { node.removeChild(node.firstChild); } }
  function tint(node, series) { ["color", "dark"].forEach(function (key) { node.style.setProperty("--" + key, data.series[series][key]); }); }

  // Round values from low to high, about as many as asked for, as they are written.
  function ticks(low, high, count) {
    var raw = (high - low) / count, power = Math.pow(10, Math.floor(Math.log10(raw))), share = raw / power;
    var step = power * (share > 7.07 ? 10 : share > 3.16 ? 5 : share > 1.41 ? 2 : 1);
    var decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), all = [];
    for (var i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9; i += 1) {
      all.push([i * step, (i * step).toFixed(decimals)]);
    }
    return all;
  }
  function ends(values, least) {
    var low = Math.min.apply(null, values), high = Math.max.apply(null, values);
    var more = Math.max(0, least - (high - low)) / 2, pad = 0.04 * (high - low + 2 * more);
    return [low - more - pad, high + more + pad];
  }
  function byX(x) { return function (a, b) { return x(data.points[a]) - x(data.points[b]) || a - b; }; }
  function energy(point) { return point.energy; }
  function volts(point) { return point.voltage; }

  // Draws points (places in the data) into a box; `x` gives their place on the horizontal axis.
  function draw(box, places, x, lines, span) {
    var old = box.querySelector("svg");
    var svg = document.createElementNS(SVG, "svg");
    box.replaceChild(svg, old);
    var width = Math.max(svg.clientWidth || box.clientWidth, 240);
    var narrow = width < 620 && lines.length > 1;
    if (!narrow) { lines = [lines.join(", ")]; }
    var left = 52, top = 8, right = width - 12, plane = Math.min(380, Math.max(240, 0.68 * section.clientWidth));
    var bottom = top + plane, height = bottom + 30 + 17 * lines.length;
    svg.setAttribute("height", height);
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", box.querySelector("h3").textContent);
    if (!places.length) { svg.setAttribute("height", 0); return; }
    places = places.slice().sort(byX(x));
    var shown = places.map(function (place) { return data.points[place]; });
    var xs = ends(shown.map(x), 1e-3);
    xs[0] = Math.max(0, xs[0]);
    function px(value) { return left + (right - left) * (value - xs[0]) / (xs[1] - xs[0]); }
    function py(value) { return bottom - (bottom - top) * (value - span[0]) / (span[1] - span[0]); }

    ticks(xs[0], xs[1], (right - left) / 75).forEach(function (tick) {
      add(svg, "line", { "class": "grid", x1: px(tick[0]), x2: px(tick[0]), y1: top, y2: bottom });
      add(svg, "text", { "class": "tick", x: px(tick[0]), y: bottom + 18, "text-anchor": "middle" }, tick[1]);
    });
    ticks(span[0], span[1], 6).forEach(function (tick) {
      add(svg, "line", { "class": "grid", x1: left, x2: right, y1: py(tick[0]), y2: py(tick[0]) });
      add(svg, "text", { "class": "tick", x: left - 6, y: py(tick[0]) + 4.5, "text-anchor": "end" }, tick[1]);
    });
    lines.forEach(function (line, i) {
      add(svg, "text", { x: (left + right) / 2, y: bottom + 38 + 17 * i, "text-anchor": "middle" }, line);
    });
    add(svg, "text", { x: 0, y: 0, "text-anchor": "middle", transform: "translate(13 " + (top + bottom) / 2 + ") rotate(-90)" }, data.measured + " (%)");

    // What lies outside the plane is cut off by a picture of its own; its origin is the corner of the plane.
    var inner = add(svg, "svg", { x: left, y: top, width: right - left, height: bottom - top });
    function path(kind, corners) {
      var text = corners.map(function (c) { return (px(c[0]) - left).toFixed(2) + " " + (py(c[1]) - top).toFixed(2); });
      return add(inner, "path", { "class": kind, d: "M" + text.join("L") });
    }
    data.series.forEach(function (series, i) {
      var own = shown.filter(function (p) { return p.series === i && p.voltage !== null; });
      if (own.length < 2) { return; }
      // leakage may make a lower voltage dearer
      own.sort(function (a, b) { return a.voltage - b.voltage; });
      var line = path("line", own.map(function (p) { return [x(p), p.mean]; }));
      line.setAttribute("stroke-dasharray", series.dash);
      tint(line, i);
    });
    shown.forEach(function (p) {
      if (p.interval) { tint(path("bar", [[x(p), p.interval[0]], [x(p), p.interval[1]]]), p.series); }
    });
    var steps = data.frontier.map(function (place) { return data.points[place]; });
    if (x === energy && steps.length) {
      var corners = [[steps[0].energy, span[0] - 100]];
      steps.forEach(function (p, i) {
        if (i) { corners.push([p.energy, steps[i - 1].mean]); }
        corners.push([p.energy, p.mean]);
      });
      corners.push([xs[1], steps[steps.length - 1].mean]);
      path("frontier", corners);
    }
    add(svg, "rect", { "class": "frame", x: left, y: top, width: right - left, height: bottom - top });

    var spots = [];
    places.forEach(function (place) {
      var p = data.points[place];
      if (p.mean < span[0] || p.mean > span[1]) { return; }
      var spot = { place: place, x: px(x(p)), y: py(p.mean) };
      spot.node = add(svg, "g", {
        "class": "point" + (p.extrapolated ? " hollow" : ""), "data-point": place, tabindex: spots.length ? -1 : 0,
        role: "button", "aria-label": p.name, transform: "translate(" + spot.x + " " + spot.y + ")"
      });
      add(spot.node, "circle", { "class": "ring", r: 11 });
      add(spot.node, "path", { "class": "marker", d: data.series[p.series].marker });
      tint(spot.node, p.series);
      spots.push(spot);
    });
    listen(svg, spots);
    mark();
  }

  function listen(svg, spots) {
    function near(event) {
      var at = svg.getBoundingClientRect(), best = null, least = REACH;
      spots.forEach(function (spot) {
        var away = Math.hypot(event.clientX - at.left - spot.x, event.clientY - at.top - spot.y);
        if (away < least) { least = away; best = spot; }
      });
      return best;
    }
    function focused() { return spots.findIndex(function (spot) { return spot.node === document.activeElement; }); }
    svg.addEventListener("pointermove", function (event) {
      var spot = near(event);
      svg.classList.toggle("on", spot !== null);
      if (spot) { show(svg, spot); } else { hide(); }
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("click", function (event) {
      var spot = near(event);
      if (spot) { select(spot.place); show(svg, spot); }
    });
    svg.addEventListener("focusin", function () {
      var i = focused();
      if (i >= 0 && spots[i].node.matches(":focus-visible")) { show(svg, spots[i]); }
    });
    svg.addEventListener("focusout", hide);
    svg.addEventListener("keydown", function (event) {
      var i = focused(), last = spots.length - 1;
      if (i < 0) { return; }
      var to = { ArrowRight: i + 1, ArrowUp: i + 1, ArrowLeft: i - 1, ArrowDown: i - 1, Home: 0, End: last }[event.key];
      if (to !== undefined) {
        to = Math.min(Math.max(to, 0), last);
        spots[i].node.setAttribute("tabindex", -1);
        spots[to].node.setAttribute("tabindex", 0);
        spots[to].node.focus();
      } else if (event.key === "Enter" || event.key === " ") {
        select(spots[i].place);
      } else {
        return;
      }
      event.preventDefault();
    });
  }

  function show(svg, spot) {
    hide();
    spot.node.classList.add("hot");
    var p = data.points[spot.place];
    clear(tip);
    tint(tip, p.series);
    add(tip, "p", {}, p.name);
    var list = add(tip, "dl");
    p.settings.forEach(function (setting) {
      add(list, "dt", {}, setting[0]);
      add(list, "dd", {}, setting[1]);
    });
    tip.hidden = false;
    // Beside the point where there is room, else under or above it; always within the section.
    var home = section.getBoundingClientRect(), at = svg.getBoundingClientRect();
    var x = at.left + spot.x, y = at.top + spot.y, w = tip.offsetWidth, h = tip.offsetHeight;
    var left, top, view = document.documentElement.clientHeight;
    if (x + 18 + w <= home.right || x - 18 - w >= home.left) {
      left = x + 18 + w <= home.right ? x + 18 : x - 18 - w;
      top = Math.max(Math.min(y - h / 2, view - h - 8), 8);
    } else {
      left = Math.max(Math.min(x - w / 2, home.right - w), home.left);
      top = y + 18 + h <= view || y - 18 - h < 0 ? y + 18 : y - 18 - h;
    }
    tip.style.left = left - home.left + "px";
    tip.style.top = top - home.top + "px";
  }
  function hide() {
    tip.hidden = true;
    section.querySelectorAll(".hot").forEach(function (node) { node.classList.remove("hot"); });
  }

  // Selects a point, or lets it go where it is selected.
  function select(place) {
    var within = curve.contains(document.activeElement);
    selected = place === selected ? null : place;
    drawCurve();
    mark();
    var again = within && curve.querySelector(".selected");
    if (again) { again.focus(); }
  }
  function mark() {
    section.querySelectorAll(".point").forEach(function (node) {
      var on = selected !== null && node.getAttribute("data-point") === String(selected);
      node.classList.toggle("selected", on);
      node.setAttribute("aria-pressed", on);
    });
  }
  function all(keep) {
    return data.points.map(function (_, place) { return place; }).filter(function (place) { return keep(data.points[place]); });
  }
  function span(places) {
    var values = [];
    places.forEach(function (place) { values = values.concat(data.points[place].mean, data.points[place].interval || []); });
    return ends(values, 1);
  }
  function drawPareto() {
    var places = all(function (p) { return !off[p.series]; });
    var range = span(places);
    if (enlarged) {
      var best = Math.max.apply(null, places.map(function (place) { return data.points[place].mean; }));
      range = [best - 4, best + 0.4];
    }
    draw(pareto, places, energy, ["Weight-memory energy per inference", "relative to 8 bit at the error-free voltage"], range);
  }
  function drawCurve() {
    var point = data.points[selected];
    var places = point && point.voltage !== null
      ? all(function (p) { return p.series === point.series && p.voltage !== null && p.voltage_label === point.voltage_label; })
      : [];
    note.textContent = !point ? "No design point is selected." : places.length
      ? data.series[point.series].label
      : data.series[point.series].label + ": this point has a voltage for each domain, so it lies on no curve.";
    draw(curve, places, volts, point ? [point.voltage_label] : [""], span(places));
  }

  data.series.forEach(function (series, i) {
    var button = add(get("explore-legend"), "button", { type: "button", "aria-pressed": true });
    tint(button, i);
    var sample = add(button, "svg", { width: 40, height: 16, "aria-hidden": true });
    add(sample, "path", { "class": "line", d: "M0 8L40 8", "stroke-dasharray": series.dash });
    add(sample, "path", { "class": "marker", d: series.marker, transform: "translate(20 8)" });
    add(button, "span", {}, series.label);
    button.addEventListener("click", function () {
      off[i] = !off[i];
      button.setAttribute("aria-pressed", !off[i]);
      if (selected !== null && off[data.points[selected].series]) { select(selected); }
      hide();
      drawPareto();
    });
  });
  get("explore-zoom").addEventListener("click", function (event) {
    enlarged = !enlarged;
    event.currentTarget.setAttribute("aria-pressed", enlarged);
    hide();
    drawPareto();
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") { return; }
    hide();
    if (selected !== null) { select(selected); }
  });
  window.addEventListener("resize", function () { hide(); drawPareto(); drawCurve(); });
  section.hidden = false;
  drawPareto();
  drawCurve();
}());
