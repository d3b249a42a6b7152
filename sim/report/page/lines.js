// A metric against something that a study varies: batch, capacity, and for scaling any number.
'use strict';

// What may stand on the horizontal axis. `axes` are the study's axes that this value hangs on.
const BATCH = {
  name: 'Batch',
  kind: 'number',
  of: (cell) => cell.batch,
  isAxis: ({name, path}) => name === 'batch' || /(^|\.)batch$/.test(path),
};
const CAPACITY = {
  name: 'Cache, of all experts\' bytes',
  kind: 'share',
  of: (cell) => cell.capacity_share,
  isAxis: ({name, path}) => /capacity|share/.test(`${name} ${path}`),
};
const ofAxis = (axis) => ({
  name: axis.name,
  kind: axis.kind,
  of: (cell) => cell.numbers[axis.name],
  isAxis: ({name}) => name === axis.name,
});

const distinct = (cells, x) => [...new Set(cells.map(x.of).filter(isNumber))].sort((a, b) => a - b);

// All other axes stand still: one choice holds them all, in the order of the source.
const otherAxes = (source, x) => source.axes.filter((axis) => !x.isAxis(axis));
const otherValues = (cell, x) =>
    otherAxes(cell.source, x).map(({name}) => `${name} ${cell.values[name]}`).join(', ');

/** The cells at each choice of the other axes at which x has several values: [[what they are, cells]]. */
const linesOf = (cells, x) => [...groupBy(cells, (cell) => otherValues(cell, x))].filter(
    ([, group]) => distinct(group, x).length > 1);
const varies = (x) => (source) => linesOf(source.cells, x).length > 0;

/** The choice of what the other axes are. */
const atChoice = (xOf) => ({
  name: 'at',
  label: 'At',
  options: (chosen) => {
    const source = sourceById(chosen.source), x = xOf(chosen);
    if (!x) return [];
    return linesOf(visibleCells(source), x).map(([values]) => [values, values || 'all']);
  },
});

// Powers and decades read best on a logarithmic axis.
const wantsLog = (sorted, spread = 8) => sorted[0] > 0 && sorted.at(-1) / sorted[0] >= spread;

function lineContent(xOf, metric, change = (value) => value) {
  return (choice) => {
    const x = xOf(choice), {name, kind} = metric;
    if (!x) return 'Nothing varies.';
    const cells = visibleCells(sourceById(choice.source))
                      .filter(
                          (cell) => otherValues(cell, x) === choice.at && isNumber(x.of(cell)) &&
                              isNumber(cell.v[metric.key]));
    const values = distinct(cells, x);
    if (values.length < 2) return 'Nothing to show: the filter leaves fewer than two values.';
    const shown = mainStrategies(cells), [factor, unit] = scaleFor(x.kind, values.at(-1));
    const rows = [], datasets = shown.map((strategy) => {
      const {colour, dash, shape} = styleOfStrategy(strategy);
      const line = cells.filter((cell) => cell.strategy === strategy).sort((a, b) => x.of(a) - x.of(b));
      const data = line.map((cell) => {
        const [y, yLow, yHigh] = [cell.v, cell.low, cell.high].map(
            (of) => isNumber(of[metric.key]) ? change(of[metric.key], line[0]) : null);
        rows.push([strategy, x.of(cell), y, yLow, yHigh]);
        return {
          x: x.of(cell),
          y,
          yLow,
          yHigh,
          title: strategy,
          text: [
            `${x.name}: ${plain(x.of(cell) / factor, 4)} ${unit}`.trim(),
            `${name}: ${withInterval(kind, y, yLow, yHigh)}`
          ],
        };
      });
      return {
        label: strategy,
        data,
        borderColor: colour,
        backgroundColor: colour,
        borderDash: dash,
        pointStyle: shape,
        pointRadius: 4,
        pointHoverRadius: 7,
        borderWidth: 2
      };
    });
    return {
      type: 'line',
      x: {
        title: x.name,
        kind: x.kind,
        log: wantsLog(values),
        ticks: values.length <= 10 ? values : undefined,
        zero: false
      },
      y: {title: name, kind, zero: metric.zero},
      datasets,
      legend: shown.map((strategy) => ({name: strategy, ...styleOfStrategy(strategy)})),
      note:
          mainNote(shown, cells) + (rows.some((row) => isNumber(row[3])) ? 'Whiskers: 95 % intervals.' : ''),
      table: {
        columns: [
          {name: 'Strategy'}, {name: x.name, kind: x.kind}, {name, kind}, {name: 'low end', kind},
          {name: 'high end', kind}
        ],
        rows
      },
    };
  };
}

/** A section with figures of several metrics against x. */
function lineSection({id, title, short, x, metrics, reason}) {
  const keyed = metrics.map((metric) => ({key: metric, ...METRICS[metric]}));
  const has = (metric) => (source) =>
      varies(x)(source) && source.cells.some((cell) => isNumber(cell.v[metric.key]));
  return {
    id,
    title,
    short,
    missing: () => model.sources.some((source) => keyed.some((metric) => has(metric)(source))) ? '' : reason,
    build(parent) {
      for (const metric of keyed)
        if (model.sources.some(has(metric)))
          new Figure(parent, {
            id: `${id}-${metric.key}`,
            title: `${metric.name} against ${x.name.toLowerCase()}`,
            content: lineContent(() => x, metric),
            choices: [sourceChoice(has(metric)), atChoice(() => x)]
          });
    },
  };
}

const batchSection = lineSection({
  id: 'batch',
  title: 'Latency and throughput against batch',
  short: 'Batch',
  x: BATCH,
  metrics: ['tpot', 'tokens_per_second', 'ttft'],
  reason: 'all runs have the same batch; a study with an axis of workload.batch shows it',
});
const capacitySection = lineSection({
  id: 'capacity',
  title: 'Hit rate against capacity',
  short: 'Capacity',
  x: CAPACITY,
  metrics: ['hit_rate', 'tokens_per_second'],
  reason: 'no study varies the cache\'s capacity',
});
const deduplicationSection = lineSection({
  id: 'deduplication',
  title: 'Deduplication',
  x: BATCH,
  metrics: ['deduplicated'],
  reason: 'savings against batch need runs with different batches',
});

// Throughput over that at the smallest value: how much of twice as much is twice as fast.
// The batch counts too where its axis changes more than one number.
function scalingAxes(source) {
  const numeric = source.axes.filter((axis) => axis.numeric), found = numeric.map(ofAxis);
  if (!numeric.some(BATCH.isAxis)) found.push(BATCH);
  return found.filter((x) => varies(x)(source));
}
const axisOf = ({source, axis}) => scalingAxes(sourceById(source)).find(({name}) => name === axis);

const scalingSection = {
  id: 'scaling',
  title: 'Scaling',
  missing: () => model.sources.some((source) => scalingAxes(source).length) ? '' : 'no study varies a number',
  build(parent) {
    const metric = {key: 'tokens_per_second', name: 'Throughput over that of the smallest', kind: 'ratio'};
    const lines = lineContent(axisOf, metric, (value, first) => value / first.v.tokens_per_second);
    const content = (choice) => {
      const shown = lines(choice);
      if (typeof shown === 'string') return shown;
      const x = axisOf(choice),
            all = [...new Set(shown.table.rows.map((row) => row[1]))].sort((a, b) => a - b);
      if (!(all[0] > 0)) return shown;
      const data = all.map((value) => ({
                             x: value,
                             y: value / all[0],
                             title: 'in proportion',
                             text: `${x.name} x${plain(value / all[0], 3)}`
                           }));
      shown.datasets.push({
        label: 'in proportion',
        data,
        borderColor: inkOf('faint'),
        borderDash: [3, 4],
        borderWidth: 1.5,
        pointRadius: 0,
        pointHoverRadius: 0
      });
      shown.legend.push({name: 'in proportion', colour: inkOf('faint'), dash: [3, 4]});
      shown.y.log = shown.x.log;
      return shown;
    };
    new Figure(parent, {
      id: 'scaling-throughput',
      title: 'Throughput over that of the smallest value',
      content,
      choices: [
        sourceChoice((source) => scalingAxes(source).length > 0), {
          name: 'axis',
          label: 'Against',
          options: ({source}) => scalingAxes(sourceById(source)).map(({name}) => [name, name])
        },
        atChoice(axisOf)
      ]
    });
  },
};
