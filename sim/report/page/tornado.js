// Sensitivity: what each number of the scenario, changed alone, does to a metric.
'use strict';

// Points say what they changed: '' is the base.
const isOneAtATime = (source) => source.points.some(({changed}) => changed);

// The axis along which numbers change one at a time stands still where none has; the others' values hold for a chart.
function atOf(cell) {
  const {source} = cell;
  const bases = source.cells.filter(({point}) => source.points[point].changed === '');
  return source.axes.filter(({name}) => new Set(bases.map((base) => base.values[name])).size > 1)
      .map(({name}) => `${name} ${cell.values[name]}`)
      .join(', ');
}

/** Of a strategy, each changed path with its effects on a metric relative to the base, the strongest first. */
function effectsOf(source, cells, metric) {
  const base = cells.find((cell) => source.points[cell.point].changed === '');
  if (!base || !isNumber(base.v[metric])) return [];
  const changed = cells.filter((cell) => source.points[cell.point].changed && isNumber(cell.v[metric]));
  const effects = [...groupBy(changed, (cell) => source.points[cell.point].changed)].map(
      ([path, group]) => ({
        path,
        changes: group.map((cell) => ({
                             ...source.points[cell.point],
                             value: cell.v[metric],
                             effect: cell.v[metric] / base.v[metric] - 1
                           })),
      }));
  const strength = ({changes}) => Math.max(...changes.map(({effect}) => Math.abs(effect)));
  return effects.sort((a, b) => strength(b) - strength(a));
}

function tornadoContent(choice) {
  const source = sourceById(choice.source), {name} = METRICS[choice.metric] ?? {};
  const effects = effectsOf(
      source,
      visibleCells(source).filter((cell) => cell.strategy === choice.strategy && atOf(cell) === choice.at),
      choice.metric);
  if (!effects.length) return 'Nothing to show: the filter hides it, or the base has no such number.';
  const sides = [['less', 'changed down', 1], ['more', 'changed up', 2]];
  const sideOf = ({factor}) => isNumber(factor) && factor < 1 ? 'less' : 'more';
  const datasets =
      sides
          .map(([side, label, colour]) => ({
                 label,
                 backgroundColor: hue(colour),
                 grouped: false,
                 maxBarThickness: 22,
                 data: effects.flatMap(
                     ({path, changes}) =>
                         changes.filter((change) => sideOf(change) === side)
                             .map((change) => ({
                                    x: [Math.min(0, change.effect), Math.max(0, change.effect)],
                                    y: path,
                                    title: path,
                                    text: [
                                      isNumber(change.factor) ? `times ${plain(change.factor, 3)}` :
                                                                change.label,
                                      `${name}: ${change.effect < 0 ? '' : '+'}${
                                          quantity('share', change.effect)}`
                                    ],
                                  }))),
               }))
          .filter(({data}) => data.length);
  return {
    type: 'bar',
    across: true,
    height: barHeight(effects.length),
    x: {title: `Change of: ${name.toLowerCase()}`, kind: 'share'},
    y: {category: effects.map(({path}) => path)},
    reference: {axis: 'x', value: 0},
    datasets,
    legend: sides.filter(([, label]) => datasets.some((set) => set.label === label))
                .map(([, label, colour]) => ({name: label, colour: hue(colour)})),
    note: 'Each number changed alone, everything else as in the base.',
    table: {
      columns: [
        {name: 'Changed'}, {name: 'Factor', kind: 'number'}, {name: 'Point'}, {name: 'Change', kind: 'share'},
        {name, kind: METRICS[choice.metric].kind}
      ],
      rows: effects.flatMap(
          ({path, changes}) =>
              changes.map((change) => [path, change.factor, change.label, change.effect, change.value])),
    },
  };
}

const tornadoSection = {
  id: 'sensitivity',
  title: 'Sensitivity',
  missing: () => model.sources.some(isOneAtATime) ? '' : 'no study changes one number at a time',
  build(parent) {
    new Figure(parent, {
      id: 'sensitivity-tornado',
      title: 'What each number does',
      content: tornadoContent,
      choices: [
        sourceChoice(isOneAtATime), {
          name: 'strategy',
          label: 'Strategy',
          options: ({source}) => [...new Set(visibleCells(sourceById(source)).map((cell) => cell.strategy))]
                                     .map((name) => [name, name])
        },
        {
          name: 'at',
          label: 'At',
          options: ({source}) => [...groupBy(visibleCells(sourceById(source)), atOf).keys()].map(
              (at) => [at, at || 'all'])
        },
        metricChoice(['tokens_per_second', 'tpot', 'ttft', 'hit_rate', 'gain', 'energy_per_token'])
      ]
    });
  },
};
