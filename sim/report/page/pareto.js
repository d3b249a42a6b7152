// Pareto fronts: throughput against what it costs.
'use strict';

const COSTS = ['peak_gpu_memory', 'energy_per_token', 'price'];
const hasCost = (source) => COSTS.some((cost) => source.cells.some((cell) => isNumber(cell.v[cost])));

/** The cells that no other beats in both: at least as cheap and faster, or cheaper and as fast. By rising cost. */
function frontOf(cells, cost) {
  const sorted =
      [...cells].sort((a, b) => a.v[cost] - b.v[cost] || b.v.tokens_per_second - a.v.tokens_per_second);
  const front = [];
  for (const cell of sorted)
    if (!front.length || cell.v.tokens_per_second > front.at(-1).v.tokens_per_second) front.push(cell);
  return front;
}

function paretoContent(choice) {
  const {cost} = choice, {name, kind} = METRICS[cost] ?? {}, source = sourceById(choice.source);
  const cells =
      visibleCells(source).filter((cell) => isNumber(cell.v[cost]) && isNumber(cell.v.tokens_per_second));
  if (!cells.length) return 'Nothing to show: the filter hides it.';
  const front = new Set(frontOf(cells, cost));
  const point = (cell) => ({
    x: cell.v[cost],
    y: cell.v.tokens_per_second,
    ...front.has(cell) && {yLow: cell.low.tokens_per_second, yHigh: cell.high.tokens_per_second},
    title: cell.strategy,
    text: [
      source.points[cell.point].label, `${name}: ${quantity(kind, cell.v[cost])}`,
      withInterval('rate', cell.v.tokens_per_second, cell.low.tokens_per_second, cell.high.tokens_per_second),
      ...front.has(cell) ? ['on the front'] : []
    ],
  });
  const groups = [...groupBy(cells, (cell) => cell.strategy)];
  const datasets = groups.map(([strategy, group]) => {
    const {colour, shape} = styleOfStrategy(strategy),
                   on = (yes, no) => group.map((cell) => front.has(cell) ? yes : no);
    return {
      label: strategy,
      data: group.map(point),
      pointStyle: shape,
      pointRadius: on(8, 4),
      pointHoverRadius: 9,
      borderColor: colour,
      backgroundColor: on(colour, faint(colour, 0.35)),
      pointBorderWidth: on(2, 1),
      showLine: false
    };
  });
  const line = [...front].map((cell) => ({...point(cell), yLow: null, yHigh: null}));
  datasets.push({
    label: 'front',
    data: line,
    stepped: 'before',
    showLine: true,
    pointRadius: 0,
    pointHoverRadius: 0,
    borderColor: inkOf('ink'),
    borderWidth: 1.5,
    borderDash: [4, 3]
  });
  const spread = (values) => wantsLog(values.sort((a, b) => a - b), 20);
  return {
    type: 'scatter',
    datasets,
    x: {title: name, kind, zero: false, log: spread(cells.map((cell) => cell.v[cost]))},
    y: {
      title: METRICS.tokens_per_second.name,
      kind: 'rate',
      log: spread(cells.map((cell) => cell.v.tokens_per_second))
    },
    legend: [
      ...groups.map(([strategy]) => ({name: strategy, ...styleOfStrategy(strategy)})),
      {name: 'front', colour: inkOf('ink'), dash: [4, 3]}
    ],
    note: `${front.size} of ${
        cells.length} results are on the front, the large ones: no other is both faster and cheaper.`,
    table: {
      columns: [
        {name: 'Strategy'}, {name: 'Point'}, {name, kind},
        {name: METRICS.tokens_per_second.name, kind: 'rate'}, {name: 'On the front'}
      ],
      rows: cells.map(
          (cell) =>
              [cell.strategy, source.points[cell.point].label, cell.v[cost], cell.v.tokens_per_second,
               front.has(cell) ? 'yes' : 'no']),
    },
  };
}

const paretoSection = {
  id: 'pareto',
  title: 'Throughput against its cost',
  short: 'Pareto fronts',
  missing: () => model.sources.some(hasCost) ? '' : 'neither memory, energy nor a price is known',
  build(parent) {
    new Figure(parent, {
      id: 'pareto-front',
      title: 'Throughput against memory, energy and price',
      content: paretoContent,
      choices: [
        sourceChoice(hasCost), {
          name: 'cost',
          label: 'Against',
          options: ({source}) =>
              COSTS.filter((cost) => sourceById(source).cells.some((cell) => isNumber(cell.v[cost])))
                  .map((cost) => [cost, METRICS[cost].name])
        }
      ]
    });
  },
};
