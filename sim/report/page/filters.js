// What is shown: the filter of strategies, platforms and the studies' axes, for all charts at once.
'use strict';

// Of each dimension the values that are hidden.
const hiddenValues = new Map();

const isShown = (dimension, value) => !hiddenValues.get(dimension)?.has(value);

/** The cells of a source that the filter lets through. */
function visibleCells(source) {
  return source.cells.filter(
      (cell) => isShown('strategy', cell.strategy) && isShown('platform', cell.platform) &&
          source.axes.every(({name}) => isShown(name, cell.values[name])));
}

/** The points of a source that have visible cells, as choices of a select. */
function visiblePoints(source) {
  return [...new Set(visibleCells(source).map((cell) => cell.point))]
      .sort((a, b) => a - b)
      .map((point) => [point, source.points[point].label]);
}

/** The baseline and the fastest others: as many as lines can be told apart. */
function mainStrategies(cells, most = 8) {
  const byStrategy = [...groupBy(cells, (cell) => cell.strategy)];
  const baseline = cells[0]?.source.baselineStrategy;
  const speed = (group) => median(group.map((cell) => cell.v.tokens_per_second).filter(isNumber).concat(0));
  const ranked = byStrategy.map(([name, group]) => [name, name === baseline ? Infinity : speed(group)])
                     .sort((a, b) => b[1] - a[1])
                     .slice(0, most)
                     .map(([name]) => name);
  return model.strategies.filter((name) => ranked.includes(name));
}

const mainNote = (shown, cells) => {
  const all = new Set(cells.map((cell) => cell.strategy)).size;
  return all > shown.length ?
      `${shown.length} of ${all} strategies: the baseline and the fastest; the filter shows others. ` :
      '';
};

/** Fills the filter; `changed` is called after every change. */
function buildFilters(parent, changed) {
  const dimensions = new Map([['strategy', model.strategies]]);
  const add = (name, values) =>
      dimensions.set(name, [...new Set([...dimensions.get(name) ?? [], ...values])]);
  for (const source of model.sources) {
    add('platform', source.cells.map((cell) => cell.platform));
    for (const {name} of source.axes) add(name, source.cells.map((cell) => cell.values[name]));
  }
  const summary = parent.parentElement.querySelector('summary');
  const changeAll = () => {
    const hidden = [...hiddenValues.values()].reduce((sum, values) => sum + values.size, 0);
    summary.textContent = hidden ? `Filter (${hidden} hidden)` : 'Filter';
    say(`${model.sources.reduce((sum, source) => sum + visibleCells(source).length, 0)} results shown`);
    changed();
  };
  for (const [dimension, values] of dimensions) {
    if (values.length < 2) continue;
    const hidden = new Set();
    hiddenValues.set(dimension, hidden);
    const boxes = values.map((value) => element('input', {
                               type: 'checkbox',
                               checked: true,
                               value,
                               onchange: ({target}) => {
                                 if (target.checked)
                                   hidden.delete(value);
                                 else
                                   hidden.add(value);
                                 changeAll();
                               },
                             }));
    const setAll = (on) => {
      hidden.clear();
      if (!on) values.forEach((value) => hidden.add(value));
      boxes.forEach((box) => {
        box.checked = on;
      });
      changeAll();
    };
    parent.append(element(
        'fieldset', {'data-dimension': dimension}, element('legend', {}, dimension),
        element('button', {type: 'button', onclick: () => setAll(true)}, 'all'),
        element('button', {type: 'button', onclick: () => setAll(false)}, 'none'),
        ...values.map((value, i) => element('label', {}, boxes[i], value))));
  }
  parent.parentElement.hidden = !parent.children.length;
}
