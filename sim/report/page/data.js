// The page's data as sources: all runs of results.h5 files together, and each study. A source has cells: a strategy at
// a point, with its numbers and, in a study, their intervals.
'use strict';

const METRICS = {
  tokens_per_second: {name: 'Decoded tokens a second', kind: 'rate', more: true},
  tpot: {name: 'Time per decoded token', kind: 'time'},
  ttft: {name: 'Time to the first token', kind: 'time'},
  hit_rate: {name: 'Hit rate', kind: 'share', more: true},
  gain: {name: 'Throughput over the baseline\'s', kind: 'ratio', more: true},
  energy_per_token: {name: 'Energy per token', kind: 'energy'},
  peak_gpu_memory: {name: 'Peak GPU memory', kind: 'bytes'},
  price: {name: 'Price of the machine', kind: 'price'},
  deduplicated: {name: 'Accesses saved by deduplication', kind: 'share', more: true},
};

// Of a study axis: what its values are, told by their texts.
function kindOfTexts(texts) {
  if (texts.every((text) => /[BE]\/s$/.test(text))) return 'byterate';
  if (texts.every((text) => /\d\s*[kKMGT]?i?B$/.test(text))) return 'bytes';
  if (texts.every((text) => /\d\s*[mun]?s$/.test(text))) return 'time';
  return 'number';
}

function gains(cells, baseline) {
  const base = cells.find((cell) => cell.strategy === baseline);
  for (const cell of cells) {
    const ratio = cell.v.tokens_per_second / base?.v.tokens_per_second;
    cell.v.gain = isNumber(ratio) ? ratio : null;
  }
}

// All results files as one source; a file is a point.
function sourceOfRuns(files) {
  const source = {
    id: 'runs',
    title: files.length === 1 ? files[0].scenario : `${files.length} runs`,
    study: false,
    files,
    cells: [],
    description: files.length === 1 ? files[0].description : '',
    baseline: files[0].runs[0]?.strategy ?? '',
    baselineStrategy: files[0].runs[0]?.strategy,
    design: 'grid',
    refused: [],
    axes: [],
    notes: [...new Set(files.flatMap((file) => file.notes))],
  };
  const names = files.map((file) => file.scenario);
  source.points = files.map(
      (file, i) => ({
        label: new Set(names).size === names.length ? file.scenario :
                                                      `${file.scenario} on ${file.platform} (${i + 1})`,
      }));
  files.forEach((file, point) => {
    const cells =
        file.runs.map((run) => ({
                        source,
                        point,
                        strategy: run.strategy,
                        platform: file.platform,
                        model: file.model,
                        batch: run.batch,
                        capacity_share: null,
                        price: null,
                        values: {platform: file.platform, model: file.model, batch: String(run.batch)},
                        numbers: {batch: run.batch},
                        v: {...run.summary},
                        low: {},
                        high: {},
                        runs: 1,
                        decode: run.decode,
                        run,
                      }));
    gains(cells, file.runs[0]?.strategy);
    source.cells.push(...cells);
  });
  for (const name of ['platform', 'model', 'batch'])
    if (new Set(source.cells.map((cell) => cell.values[name])).size > 1)
      source.axes.push({name, path: name, kind: 'number', numeric: name === 'batch'});
  return source;
}

function sourceOfStudy(study, index) {
  const {points, cells, means} = study;
  const source = {
    id: `study${index}`,
    title: study.study,
    study: true,
    files: [study],
    description: study.description,
    baseline: study.baseline,
    // The file names a strategy, values of axes, or both: "LRU, platform rtx4090".
    baselineStrategy:
        cells.strategy.find((name) => study.baseline === name || study.baseline.startsWith(`${name}, `)),
    design: study.design,
    refused: study.refused,
    notes: [],
    points: points.label.map((label, i) => ({
                               label,
                               changed: points.changed?.[i],
                               factor: points.factor?.[i],
                               platform: points.platform[i],
                             })),
  };
  source.axes = study.axes.name
                    .map((name, i) => ({
                           name,
                           path: study.axes.path[i],
                           kind: kindOfTexts(points.values[name]),
                           numeric: points.numbers[name].every(isNumber),
                         }))
                    .filter(({name}) => new Set(points.values[name]).size > 1);
  const metrics = Object.keys(cells).filter((name) => `${name}_low` in cells);
  source.cells = cells.point.map((point, i) => {
    const cell = {
      source,
      point,
      strategy: cells.strategy[i],
      platform: points.platform[point],
      model: points.model[point],
      batch: points.batch[point],
      capacity_share: points.capacity_share[point],
      price: points.price[point],
      values: {},
      numbers: {},
      v: {price: points.price[point]},
      low: {},
      high: {},
      runs: cells.runs[i],
      effect: cells.effect?.[i],
      p: cells.p?.[i],
      decode: study.decode?.[i],
    };
    for (const {name} of source.axes) {
      cell.values[name] = points.values[name][point];
      cell.numbers[name] = points.numbers[name][point];
    }
    for (const name of Object.keys(means)) cell.v[name] = means[name][i];
    for (const name of metrics) {
      cell.v[name] = cells[name][i];
      cell.low[name] = cells[`${name}_low`][i];
      cell.high[name] = cells[`${name}_high`][i];
    }
    return cell;
  });
  return source;
}

/** @return {page, sources, strategies}: strategies are the names of all sources in their order. */
function buildModel(page) {
  const sources = page.studies.map(sourceOfStudy);
  if (page.results.length) sources.push(sourceOfRuns(page.results));
  const strategies = [];
  for (const source of sources) {
    const names = new Set(source.cells.map((cell) => cell.strategy));
    source.strategies = [...names];
    for (const name of names)
      if (!strategies.includes(name)) strategies.push(name);
  }
  return {page, sources, strategies};
}

/** What takes most of a cell's mean decode step. @return {text, parts: {path, experts, other} in s} or null */
function boundOf(cell) {
  const {critical_path: path, exposed_stall: stall, expert_wait: experts} = cell.v;
  if (![path, stall, experts].every(isNumber)) return null;
  const parts = {path, experts, other: stall - experts};
  const texts = {
    path: 'computing (its kernels\' critical path)',
    experts: 'waiting for experts',
    other: 'other stalls (host, launches, routing\'s way back)',
  };
  const most = Object.keys(parts).reduce((a, b) => parts[a] >= parts[b] ? a : b);
  return {text: texts[most], share: parts[most] / (path + stall), parts};
}

/** The cell with the most (or least) of a metric; undefined of none. */
function bestOf(cells, metric) {
  const sign = METRICS[metric].more ? 1 : -1;
  let best;
  for (const cell of cells)
    if (isNumber(cell.v[metric]) && (!best || sign * cell.v[metric] > sign * best.v[metric])) best = cell;
  return best;
}

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
