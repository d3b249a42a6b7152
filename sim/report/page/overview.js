// The answer in words, computed from the cells, and the table behind it.
'use strict';

const sourceById = (id) => model.sources.find((source) => source.id === id) ?? model.sources[0];

/** A choice between the sources that have something; hidden while there is one. */
const sourceChoice = (has = () => true) => ({
  name: 'source',
  label: 'Data',
  options: () => model.sources.filter(has).map((source) => [source.id, source.title]),
});
const pointChoice = {
  name: 'point',
  label: 'Point',
  options: ({source}) => visiblePoints(sourceById(source))
};
const cellsAt = ({source, point}) =>
    visibleCells(sourceById(source)).filter((cell) => String(cell.point) === point);

const strong = (text) => element('strong', {}, text);

function gainWords(cell, baseline) {
  const {gain} = cell.v, {gain: low} = cell.low, {gain: high} = cell.high;
  if (cell.strategy === baseline) return ['. It is the baseline'];
  if (!isNumber(gain))
    return [baseline ? `. ${baseline} has no number to compare it with` : '. There is no baseline'];
  const words = [', ', strong(withInterval('ratio', gain, low, high)), ' as fast as ', baseline];
  if (!isNumber(low)) return [...words, ' (one run: no interval; specmoe study repeats runs)'];
  const sure = low > 1 || high < 1;
  return [
    ...words, sure ? ': the 95 % interval excludes 1' : ': the 95 % interval includes 1, so it may be chance'
  ];
}

function boundWords(cell) {
  const bound = boundOf(cell);
  const words = [];
  if (bound) {
    const {path, experts, other} = bound.parts, whole = path + experts + other;
    const share = (part) => quantity('share', part / whole, 2);
    words.push(` Its mean step of ${quantity('time', whole)} is mostly ${bound.text}: computing ${
        share(path)}, experts ${share(experts)}, other ${share(other)}.`);
  }
  const links = cell.run?.links;
  if (links?.name.length) {
    const busiest = links.utilisation.indexOf(Math.max(...links.utilisation));
    words.push(` The busiest link is ${links.name[busiest]} ${links.direction[busiest]}, ${
        quantity('share', links.utilisation[busiest], 2)} of the run.`);
  }
  return words;
}

function resourceWords(cell) {
  const {peak_gpu_memory: memory, energy_per_token: energy} = cell.v;
  const words = [];
  if (isNumber(memory)) words.push(` GPU memory: at most ${quantity('bytes', memory)}.`);
  words.push(
      isNumber(energy) ? ` Energy: ${quantity('energy', energy)} a token.` : ' Energy was not simulated.');
  if (isNumber(cell.price)) words.push(` The machine costs ${quantity('price', cell.price)}.`);
  return words;
}

function wordsOfPoint(source, cells) {
  const best = bestOf(cells, 'tokens_per_second');
  if (!best) return [element('p', {}, 'Nothing was decoded.')];
  const baseline = source.study ? source.baseline : source.files[best.point].runs[0].strategy;
  return [element(
      'p', {class: 'answer'}, strong(best.strategy), ' decodes fastest: ',
      strong(withInterval(
          'rate', best.v.tokens_per_second, best.low.tokens_per_second, best.high.tokens_per_second)),
      ...gainWords(best, baseline), '.', ...boundWords(best), ...resourceWords(best))];
}

/** What a strategy gains over the baseline, from point to point. */
function gainsWords(cells, baseline) {
  const judged = cells.filter((cell) => isNumber(cell.v.gain)), values = judged.map((cell) => cell.v.gain);
  if (!judged.length) return [];
  const sure = judged.filter((cell) => cell.low.gain > 1 || cell.high.gain < 1).length;
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => quantity('ratio', value));
  return [
    '. Over ', baseline, ' its median is ', strong(quantity('ratio', median(values))),
    `, from ${least} to ${most}; the 95 % interval excludes 1 at ${sure} of ${judged.length} points`
  ];
}

function wordsOfStudy(source, winners, all) {
  const wins = [...groupBy(winners, (cell) => cell.strategy)].sort((a, b) => b[1].length - a[1].length);
  if (!wins.length) return [element('p', {}, 'Nothing was decoded.')];
  const [name, won] = wins[0];
  const points = new Set(all.map((cell) => cell.point)).size;
  const words = [strong(name), ` decodes fastest at ${won.length} of ${points} points`];
  if (wins.length > 1)
    words.push(` (${wins.slice(1, 4).map(([other, at]) => `${other} at ${at.length}`).join(', ')})`);
  const ofStrategy = (strategy) => all.filter((cell) => cell.strategy === strategy);
  words.push(...gainsWords(ofStrategy(name), source.baseline));
  if (name === source.baseline && wins.length > 1)
    words.push(
        `. It is the baseline; next is ${wins[1][0]}`,
        ...gainsWords(ofStrategy(wins[1][0]), source.baseline));
  const top = bestOf(winners, 'tokens_per_second');
  words.push(
      '. The most is ',
      strong(withInterval(
          'rate', top.v.tokens_per_second, top.low.tokens_per_second, top.high.tokens_per_second)),
      ` at ${source.points[top.point].label}`);
  const bounds = groupBy(winners.map(boundOf).filter(Boolean), ({text}) => text);
  const most = [...bounds].sort((a, b) => b[1].length - a[1].length)[0];
  if (most) words.push(`. The fastest are mostly ${most[0]} (${most[1].length} of ${winners.length} points)`);
  const range = (metric) => {
    const values = winners.map((cell) => cell.v[metric]).filter(isNumber), {kind} = METRICS[metric];
    if (!values.length) return '';
    const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => quantity(kind, value));
    return least === most ? least : `${least} to ${most}`;
  };
  const memory = range('peak_gpu_memory'), energy = range('energy_per_token');
  if (memory) words.push(`; they take ${memory} of GPU memory`);
  words.push(energy ? ` and ${energy} a token` : '. Energy was not simulated');
  return [element('p', {class: 'answer'}, ...words, '.')];
}

function overviewTable(source, cells) {
  const metrics = [
    'tokens_per_second', 'gain', 'tpot', 'ttft', 'hit_rate', 'peak_gpu_memory', 'energy_per_token', 'price'
  ].filter((metric) => cells.some((cell) => isNumber(cell.v[metric])));
  const columns = [{name: 'Strategy'}, {name: 'Point'}];
  for (const metric of metrics) {
    columns.push({...METRICS[metric]});
    if (cells.some((cell) => isNumber(cell.low[metric])))
      for (const end of ['low', 'high'])
        columns.push({name: `${end} end`, kind: METRICS[metric].kind, metric, end});
  }
  if (cells.some((cell) => isNumber(cell.p))) columns.push({name: 'p (Holm)', kind: 'number', p: true});
  const numbers = (cell) => columns.slice(2).map((column) => {
    if (column.p) return cell.p;
    const metric = column.metric ?? metrics.find((name) => METRICS[name].name === column.name);
    return cell[column.end ?? 'v'][metric];
  });
  return {
    columns,
    rows: cells.map((cell) => [cell.strategy, source.points[cell.point].label, ...numbers(cell)]),
  };
}

function overviewOf(source) {
  const cells = visibleCells(source), parts = [];
  if (!cells.length) return [element('p', {}, 'The filter hides everything.')];
  const points = groupBy(cells, (cell) => cell.point);
  if (source.study && points.size > 1) {
    const winners = [...points.values()].map((at) => bestOf(at, 'tokens_per_second')).filter(Boolean);
    parts.push(...wordsOfStudy(source, winners, cells));
  } else {
    for (const [point, at] of points) {
      const {model: name, platform} = at[0];
      parts.push(
          element('h3', {}, points.size > 1 ? source.points[point].label : `${name} on ${platform}`),
          ...wordsOfPoint(source, at));
    }
  }
  if (source.refused.length) {
    const texts = source.refused.map(
        ({point, strategy, why}) => `${strategy} at ${source.points[point].label}: ${why}`);
    const list = [...groupBy(texts, (text) => text)].map(
        ([text, same]) => element('li', {}, same.length > 1 ? `${text} (${same.length} runs)` : text));
    parts.push(element(
        'details', {}, element('summary', {}, `${source.refused.length} runs were refused`),
        element('ul', {}, ...list)));
  }
  const table = overviewTable(source, cells);
  parts.push(element(
      'details', {class: 'numbers', open: table.rows.length <= 12},
      element('summary', {}, `All numbers: ${table.rows.length} rows`), tableView(table, 'overview')));
  return parts;
}

const overviewSection = {
  id: 'overview',
  title: 'Overview',
  missing: () => '',
  build(parent) {
    const bodies = model.sources.map((source) => {
      const body = element('div', {class: 'overview', id: `overview-${source.id}`});
      if (model.sources.length > 1) parent.append(element('h3', {}, source.title));
      if (source.description) parent.append(element('p', {class: 'note'}, source.description));
      parent.append(body);
      return body;
    });
    const update = () => bodies.forEach((body, i) => body.replaceChildren(...overviewOf(model.sources[i])));
    update();
    return update;
  },
};
