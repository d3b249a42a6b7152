// Strategies at one point: a metric as bars with their intervals, and where a decode step's time goes.
'use strict';

const barHeight = (count) => Math.max(150, 90 + 30 * count);

const metricChoice = (metrics) => ({
  name: 'metric',
  label: 'Show',
  options: ({source}) =>
      metrics.filter((metric) => sourceById(source).cells.some((cell) => isNumber(cell.v[metric])))
          .map((metric) => [metric, METRICS[metric].name]),
});

function metricBars(choice) {
  const {metric} = choice, {name, kind} = METRICS[metric] ?? {};
  const cells = cellsAt(choice).filter((cell) => isNumber(cell.v[metric]));
  if (!cells.length) return 'Nothing to show: the filter hides it, or nothing was decoded.';
  const points =
      cells.map((cell) => ({
                  x: cell.v[metric],
                  y: cell.strategy,
                  xLow: cell.low[metric],
                  xHigh: cell.high[metric],
                  title: cell.strategy,
                  text: `${name}: ${withInterval(kind, cell.v[metric], cell.low[metric], cell.high[metric])}`,
                }));
  const intervals = points.some(({xLow}) => isNumber(xLow));
  return {
    type: 'bar',
    across: true,
    height: barHeight(cells.length),
    x: {title: name, kind},
    y: {category: cells.map((cell) => cell.strategy)},
    reference: metric === 'gain' ? {axis: 'x', value: 1} : undefined,
    datasets: [{
      label: name,
      data: points,
      backgroundColor: cells.map((cell) => faint(styleOfStrategy(cell.strategy).colour, 0.75)),
      maxBarThickness: 22
    }],
    note: intervals ? 'Whiskers: 95 % intervals over replications.' : 'One run each: no intervals.',
    table: {
      columns: [{name: 'Strategy'}, {name, kind}, {name: 'low end', kind}, {name: 'high end', kind}],
      rows: cells.map((cell) => [cell.strategy, cell.v[metric], cell.low[metric], cell.high[metric]]),
    },
  };
}

const STEP_PARTS = [
  ['path', 'computing: critical path, every expert resident', 1],
  ['experts', 'waiting for experts', 2],
  ['other', 'other stalls: host, launches, routing\'s way back', 5],
];

function stepParts(choice) {
  const cells = cellsAt(choice).filter(boundOf);
  if (!cells.length) return 'Nothing to show: the filter hides it, or nothing was decoded.';
  const parts = cells.map((cell) => boundOf(cell).parts);
  return {
    type: 'bar',
    across: true,
    stacked: true,
    height: barHeight(cells.length),
    x: {title: 'Mean decode step', kind: 'time'},
    y: {category: cells.map((cell) => cell.strategy)},
    datasets: STEP_PARTS.map(([part, name, colour]) => ({
                               label: name,
                               backgroundColor: hue(colour),
                               maxBarThickness: 22,
                               data: parts.map((of, i) => ({
                                                 x: Math.max(0, of[part]),
                                                 y: cells[i].strategy,
                                                 title: cells[i].strategy,
                                                 text: `${name}: ${quantity('time', of[part])}`,
                                               })),
                             })),
    legend: STEP_PARTS.map(([, name, colour]) => ({name, colour: hue(colour)})),
    table: {
      columns: [{name: 'Strategy'}, ...STEP_PARTS.map(([, name]) => ({name, kind: 'time'}))],
      rows: cells.map((cell, i) => [cell.strategy, ...STEP_PARTS.map(([part]) => parts[i][part])]),
    },
  };
}

const strategiesSection = {
  id: 'strategies',
  title: 'Strategies',
  missing: () => '',
  build(parent) {
    const metrics =
        ['tokens_per_second', 'gain', 'tpot', 'ttft', 'hit_rate', 'peak_gpu_memory', 'energy_per_token'];
    new Figure(parent, {
      id: 'strategy-bars',
      title: 'Strategies',
      content: metricBars,
      choices: [sourceChoice(), pointChoice, metricChoice(metrics)]
    });
    const hasParts = (source) => source.cells.some(boundOf);
    if (model.sources.some(hasParts))
      new Figure(parent, {
        id: 'step-parts',
        title: 'Where a decode step\'s time goes',
        content: stepParts,
        choices: [sourceChoice(hasParts), pointChoice]
      });
  },
};
