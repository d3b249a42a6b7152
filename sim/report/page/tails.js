// Tails: how long decode steps take, as distributions and percentiles.
'use strict';

const PERCENTILES = [['p50', 'p50'], ['p90', 'p90'], ['p95', 'p95'], ['p99', 'p99'], ['p999', 'p99.9']];
const hasSteps = (source) => source.cells.some((cell) => cell.decode?.count > 0);

const stepsNote = (cells) => `${plain(cells.reduce((sum, cell) => sum + cell.decode.count, 0), 6)} steps. `;

function tailCells(choice) {
  const cells = cellsAt(choice).filter((cell) => cell.decode?.count > 0), shown = mainStrategies(cells);
  return {cells, shown: shown.map((name) => cells.find((cell) => cell.strategy === name))};
}

const lineStyle = (strategy) => {
  const {colour, dash, shape} = styleOfStrategy(strategy);
  return {borderColor: colour, backgroundColor: colour, borderDash: dash, pointStyle: shape, borderWidth: 2};
};

// Shares of 1 on an axis of "at least": logarithmic, so that the slowest in a thousand can be seen.
function distributionContent(choice) {
  const {cells, shown} = tailCells(choice), tail = choice.view === 'tail';
  if (!cells.length) return 'Nothing to show: the filter hides it.';
  const name = tail ? 'Steps that take longer' : 'Steps that take at most so long', rows = [];
  const datasets = shown.map((cell) => {
    const {durations, shares} = cell.decode, data = [];
    durations.forEach((duration, i) => {
      const y = tail ? 1 - shares[i] : shares[i];
      rows.push([cell.strategy, duration, shares[i]]);
      if (tail && y <= 1e-9) return;  // beyond the longest step nothing is left to draw
      data.push({
        x: duration,
        y,
        title: cell.strategy,
        text: [`step: ${quantity('time', duration, 4)}`, `${name.toLowerCase()}: ${quantity('share', y, 4)}`]
      });
    });
    return {
      label: cell.strategy,
      data,
      stepped: 'before',
      pointRadius: 0,
      pointHoverRadius: 6,
      ...lineStyle(cell.strategy)
    };
  });
  const longest = Math.max(...shown.map((cell) => cell.decode.durations.at(-1)));
  const shortest = Math.min(...shown.map((cell) => cell.decode.durations[0]));
  return {
    type: 'line',
    x: {title: 'Decode step', kind: 'time', zero: false, log: shortest > 0 && longest / shortest > 20},
    y: {title: name, kind: 'share', log: tail, max: 1},
    datasets,
    legend: shown.map((cell) => ({name: cell.strategy, ...styleOfStrategy(cell.strategy)})),
    note: stepsNote(shown) + mainNote(shown, cells),
    table: {
      columns: [
        {name: 'Strategy'}, {name: 'Decode step', kind: 'time'},
        {name: 'Steps of at most that', kind: 'share'}
      ],
      rows
    },
  };
}

function percentileContent(choice) {
  const {cells, shown} = tailCells(choice);
  if (!cells.length) return 'Nothing to show: the filter hides it.';
  const datasets =
      shown.map((cell) => ({
                  label: cell.strategy,
                  pointRadius: 4,
                  pointHoverRadius: 7,
                  ...lineStyle(cell.strategy),
                  data: PERCENTILES.map(([key, name]) => ({
                                          x: name,
                                          y: cell.decode[key],
                                          title: cell.strategy,
                                          text: `${name}: ${quantity('time', cell.decode[key], 4)}`
                                        })),
                }));
  return {
    type: 'line',
    x: {category: PERCENTILES.map(([, name]) => name)},
    y: {title: 'Decode step', kind: 'time'},
    datasets,
    legend: shown.map((cell) => ({name: cell.strategy, ...styleOfStrategy(cell.strategy)})),
    note: stepsNote(shown) + mainNote(shown, cells),
    table: {
      columns: [
        {name: 'Strategy'}, {name: 'Steps', kind: 'number'}, {name: 'mean', kind: 'time'},
        ...PERCENTILES.map(([, name]) => ({name, kind: 'time'}))
      ],
      rows: cells.map(
          ({strategy,
            decode}) => [strategy, decode.count, decode.mean, ...PERCENTILES.map(([key]) => decode[key])]),
    },
  };
}

const tailsSection = {
  id: 'tails',
  title: 'Tails',
  missing: () => model.sources.some(hasSteps) ? '' : 'no decode steps were recorded',
  build(parent) {
    new Figure(parent, {
      id: 'tails-distribution',
      title: 'Distribution of decode steps',
      content: distributionContent,
      choices: [
        sourceChoice(hasSteps), pointChoice, {
          name: 'view',
          label: 'Show',
          options: () => [
              ['all', 'share of steps at most so long'], ['tail', 'share of longer steps, logarithmic']]
        }
      ]
    });
    new Figure(parent, {
      id: 'tails-percentiles',
      title: 'Percentiles of decode steps',
      content: percentileContent,
      choices: [sourceChoice(hasSteps), pointChoice]
    });
  },
};
