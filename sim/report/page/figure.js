// A figure: a chart with its choices, legend, keyboard and the table of its numbers.
'use strict';

const figures = [];

// Long names go on as many lines as they need; a path breaks behind its dots and underscores.
function wrapped(text, width) {
  const lines = [''];
  for (const word of String(text).split(/(?<=[ ._])/)) {
    const last = lines.length - 1;
    if (lines[last] && lines[last].length + word.trimEnd().length > width)
      lines.push(word);
    else
      lines[last] += word;
  }
  return lines.map((line) => line.trimEnd());
}

// axis: {title, kind, log, category: [names], ticks: [values], min, max}; see content below. ends: of whiskers.
function scaleOptions(axis, values, ends, narrow) {
  const ink = inkOf('ink');
  const options = {
    grid: {color: inkOf('grid'), borderColor: inkOf('faint')},
    ticks: {color: ink},
    title: {display: Boolean(axis.title), color: ink, text: axis.title},
    min: axis.min,
    max: axis.max,
  };
  if (axis.category) {
    options.type = 'category';
    options.labels = axis.category;
    options.grid.display = false;
    options.ticks.autoSkip = false;
    options.ticks.callback = function(
        value) { return wrapped(this.getLabelForValue(value), narrow ? 15 : 26); };
    return options;
  }
  const least = Math.min(...values), most = Math.max(...values);
  const [factor, unit] = scaleFor(axis.kind, Math.max(Math.abs(least), Math.abs(most)));
  options.type = axis.log ? 'logarithmic' : 'linear';
  // Values that hardly differ would have an axis of nothing but their last digits.
  options.beginAtZero = !axis.log && (axis.zero !== false || most - least < 0.02 * Math.abs(most));
  // Whiskers too have a place; a logarithmic axis has none for those that reach 0.
  const shown = ends.filter((end) => !axis.log || end > 0);
  if (shown.length) {
    options.suggestedMin = Math.min(least, ...shown);
    options.suggestedMax = Math.max(most, ...shown);
  }
  options.title.text = wrapped(withUnit(axis.title, unit), narrow ? 34 : 60);
  options.ticks.maxRotation = 0;
  options.ticks.includeBounds = false;
  options.ticks.callback = (value) => plain(value / factor, axis.ticks ? 3 : 6);
  if (axis.log) options.ticks.autoSkipPadding = 12;
  if (axis.ticks)
    options.afterBuildTicks = (scale) => {
      const shown = axis.ticks.filter((value) => value >= scale.min && value <= scale.max);
      if (shown.length > 1) scale.ticks = shown.map((value) => ({value}));
    };
  return options;
}

class Figure {
  /**
   * @param content (choices) => why there is nothing to see, as text, or {
   *   type, across: bars lie on their side, x, y: axes, datasets: of Chart.js, whose points may have `title` and `text`
   *   for the tooltip and xLow, xHigh, yLow, yHigh; legend: [{name, colour, dash, shape}], table, reference, note, height}
   * @param choices [{name, label, options: () => [[value, text]]}]
   */
  constructor(parent, {id, title, content, choices = []}) {
    Object.assign(this, {id, title, content, choices, hidden: new Set(), at: null});
    this.canvas = element('canvas', {tabindex: 0, role: 'img', 'aria-label': title});
    this.frame = element('div', {class: 'frame'}, this.canvas);
    this.legend = element('div', {class: 'legend'});
    this.note = element('p', {class: 'note'});
    this.tools = element('div', {class: 'tools'});
    this.selects = new Map(choices.map(({name, label}) => {
      const select = element('select', {name, onchange: () => this.update()});
      this.tools.append(element('label', {}, `${label} `, select));
      return [name, select];
    }));
    this.reset =
        element('button', {type: 'button', class: 'reset', onclick: () => resetZoom(this.chart)}, 'Reset');
    this.numbers = element(
        'details', {class: 'numbers', ontoggle: () => this.fillTable()}, element('summary', {}, 'Numbers'));
    this.root = element(
        'figure', {id}, element('figcaption', {}, title, this.reset), this.tools, this.legend, this.frame,
        this.note, this.numbers);
    parent.append(this.root);
    this.canvas.addEventListener('keydown', (event) => this.key(event));
    figures.push(this);
    this.update();
  }

  fillSelects() {
    const chosen = {};
    for (const {name, options} of this.choices) {
      const select = this.selects.get(name), before = select.value;
      const pairs = options(chosen).map(([value, text]) => [String(value), text]);
      select.replaceChildren(...pairs.map(([value, text]) => element('option', {value}, text)));
      if (pairs.some(([value]) => value === before)) select.value = before;
      select.parentElement.hidden = pairs.length < 2;
      chosen[name] = select.value;
    }
    return chosen;
  }

  update() {
    const shown = this.content(this.fillSelects());
    this.chart?.destroy();
    this.chart = undefined;
    this.root.classList.remove('zoomed');
    this.at = null;
    const empty = typeof shown === 'string';
    this.note.textContent = empty ? shown : shown.note ?? '';
    for (const part of [this.frame, this.legend, this.reset, this.numbers]) part.hidden = empty;
    this.table = empty ? undefined : shown.table;
    this.fillTable();
    if (empty) return;
    const narrow = this.root.clientWidth < 520;
    for (const dataset of shown.datasets) dataset.hidden = this.hidden.has(dataset.label);
    this.frame.style.height = `${shown.height ?? (narrow ? 300 : 360)}px`;
    const values = (...keys) =>
        shown.datasets.flatMap((set) => set.data.flatMap((point) => keys.flatMap((key) => point[key])))
            .filter(isNumber);
    const config = {
      type: shown.type,
      data: {datasets: shown.datasets},
      options: {
        indexAxis: shown.across ? 'y' : 'x',
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction:
            {mode: 'nearest', intersect: shown.intersect ?? false, axis: shown.across ? 'xy' : undefined},
        scales: {
          x: {...scaleOptions(shown.x, values('x'), values('xLow', 'xHigh'), narrow), stacked: shown.stacked},
          y: {...scaleOptions(shown.y, values('y'), values('yLow', 'yHigh'), narrow), stacked: shown.stacked},
        },
        plugins: {
          legend: {display: false},
          reference: shown.reference ?? {},
          tooltip: {
            callbacks: {
              title: () => '',  // several points may lie on each other: each says whose it is
              label: ({raw}) => [raw.title, raw.text].flat(),
            }
          },
        },
      },
    };
    this.chart = new Chart(this.canvas, config);
    this.chart.$whole = {x: {min: shown.x.min, max: shown.x.max}, y: {min: shown.y.min, max: shown.y.max}};
    this.fillLegend(shown.legend ?? []);
    this.canvas.setAttribute(
        'aria-label',
        `${this.title}: ${
            shown.datasets
                .length} series. Arrow keys move through the points, plus and minus zoom, Escape shows the whole range.`);
  }

  fillTable() {
    this.numbers.querySelector('div')?.remove();
    if (this.numbers.open && this.table) this.numbers.append(tableView(this.table, this.id));
  }

  // Buttons that show and hide a series.
  fillLegend(entries) {
    this.legend.replaceChildren(...entries.map(({name, colour, dash = []}) => {
      const mark = element('span', {class: dash.length ? 'mark dashed' : 'mark'});
      mark.style.setProperty('--mark', colour);
      return element(
          'button', {
            type: 'button',
            'aria-pressed': String(!this.hidden.has(name)),
            onclick: ({currentTarget}) => {
              if (!this.hidden.delete(name)) this.hidden.add(name);
              currentTarget.setAttribute('aria-pressed', String(!this.hidden.has(name)));
              this.chart.data.datasets.forEach((set, i) => {
                if (set.label === name) this.chart.setDatasetVisibility(i, !this.hidden.has(name));
              });
              this.chart.update('none');
            },
          },
          mark, name);
    }));
  }

  // Arrow keys go to the next point, or the nearest of the next series.
  key(event) {
    const chart = this.chart;
    if (!chart) return;
    const series = chart.data.datasets.map((_, i) => i)
                       .filter((i) => chart.isDatasetVisible(i) && chart.data.datasets[i].data.length);
    if (!series.length) return;
    const count = (i) => chart.data.datasets[i].data.length;
    let {set, point} = this.at ?? {set: series[0], point: -1};
    const turn = (step) => {
      const next = series[(series.indexOf(set) + step + series.length) % series.length];
      set = next;
      point = Math.min(Math.max(point, 0), count(next) - 1);
    };
    if (event.key === 'ArrowRight')
      point = Math.min(point + 1, count(set) - 1);
    else if (event.key === 'ArrowLeft')
      point = Math.max(point - 1, 0);
    else if (event.key === 'Home')
      point = 0;
    else if (event.key === 'End')
      point = count(set) - 1;
    else if (event.key === 'ArrowDown')
      turn(1);
    else if (event.key === 'ArrowUp')
      turn(-1);
    else if (event.key === '+' || event.key === '-') {
      const {left, right, top, bottom} = chart.chartArea;
      const active = this.at && chart.getDatasetMeta(this.at.set).data[this.at.point];
      zoomAt(
          chart, active?.x ?? (left + right) / 2, active?.y ?? (top + bottom) / 2,
          event.key === '+' ? 0.6 : 1 / 0.6);
      event.preventDefault();
      return;
    } else if (event.key === 'Escape') {
      this.at = null;
      chart.setActiveElements([]);
      chart.tooltip.setActiveElements([], {x: 0, y: 0});
      resetZoom(chart);
      say('Whole range');
      return;
    } else
      return;
    event.preventDefault();
    this.at = {set, point};
    const active = [{datasetIndex: set, index: point}], {x, y} = chart.getDatasetMeta(set).data[point];
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, {x, y});
    chart.update('none');
    const {title, text} = chart.data.datasets[set].data[point];
    say([chart.data.datasets[set].label, title, text].flat().filter(Boolean).join(', '));
  }
}
