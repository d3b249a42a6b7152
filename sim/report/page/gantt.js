// The timeline of a step: what each stream and link did.
'use strict';

const runsWithTimeline = () => model.sources.filter((source) => !source.study)
                                   .flatMap((source) => visibleCells(source))
                                   .filter((cell) => cell.run.timeline?.steps?.length);

// Colours of spans, by their labels; what fits none is an other kernel.
const SPAN_KINDS = [
  ['expert copies on demand', 2, /^load/],
  ['expert copies ahead', 5, /^prefetch/],
  ['experts', 1, /expert|shared|dense/],
  ['attention', 3, /attention/],
  ['other', 4, /^/],
];

// Decode steps first: they are what a run is made of.
function stepChoices(cell) {
  const steps = cell?.run.timeline.steps ?? [];
  const longest = Math.max(...steps.filter(({phase}) => phase === 1).map(({duration}) => duration));
  const name = ({step, phase, duration}) => `${phase === 1 ? 'decode' : 'prefill'} step ${step}, ${
      quantity('time', duration)}${phase === 1 && duration === longest ? ', the longest' : ''}`;
  return steps.map((step, i) => [i, name(step), step.phase]).sort((a, b) => b[2] - a[2]);
}

const runOf = ({run}) => runsWithTimeline()[Number(run)];

function ganttContent(choice) {
  const cell = runOf(choice), step = cell?.run.timeline.steps[Number(choice.step)];
  if (!step) return 'Nothing to show: the filter hides all runs.';
  const {name, kind, labels} = cell.run.timeline, rows = [...new Set(step.row)].sort((a, b) => a - b);
  const spans = step.row.map((row, i) => ({
                               row: name[row],
                               label: labels[step.label[i]],
                               start: step.start[i],
                               length: step.length[i],
                               bytes: step.bytes[i]
                             }));
  const kindOf = ({label}) => SPAN_KINDS.findIndex(([, , pattern]) => pattern.test(label));
  const datasets =
      SPAN_KINDS
          .map(
              ([label, colour], of) => ({
                label,
                backgroundColor: hue(colour),
                grouped: false,
                barPercentage: 0.9,
                categoryPercentage: 0.9,
                minBarLength: 1,
                data: spans.filter((span) => kindOf(span) === of)
                          .map((span) => ({
                                 x: [span.start, span.start + span.length],
                                 y: span.row,
                                 title: span.label,
                                 text: [
                                   `${span.row}: ${quantity('time', span.length)} from ${
                                       quantity('time', span.start, 4)}`,
                                   ...span.bytes > 0 ? [`${quantity('bytes', span.bytes)}, ${
                                                           quantity('byterate', span.bytes / span.length)}`] :
                                                       []
                                 ],
                               })),
              }))
          .filter(({data}) => data.length);
  const cut = step.all > spans.length ? `The first ${spans.length} of ${step.all} spans. ` : '';
  return {
    type: 'bar',
    across: true,
    intersect: true,
    height: 110 + 44 * rows.length,
    datasets,
    x: {
      title: 'Since the step began',
      kind: 'time',
      min: Math.min(0, ...step.start),
      max: Math.max(step.duration, ...spans.map((span) => span.start + span.length))
    },
    y: {category: rows.map((row) => name[row])},
    reference: {axis: 'x', value: step.duration},
    legend: SPAN_KINDS.filter(([label]) => datasets.some((set) => set.label === label))
                .map(([label, colour]) => ({name: label, colour: hue(colour)})),
    note: `${cut}Rows: ${
        rows.map((row) => kind[row])
            .filter((what, i, all) => all.indexOf(what) === i)
            .join('s, ')}s. Dashed: the step's end. Drag to look closer.`,
    table: {
      columns: [
        {name: 'What'}, {name: 'Row'}, {name: 'Start', kind: 'time'}, {name: 'Duration', kind: 'time'},
        {name: 'Bytes', kind: 'bytes'}
      ],
      rows: spans.map((span) => [span.label, span.row, span.start, span.length, span.bytes]),
    },
  };
}

const ganttSection = {
  id: 'timeline',
  title: 'Timeline of a step',
  short: 'Timeline',
  missing: () => runsWithTimeline().length ? '' : 'only results.h5 of a run has timelines',
  build(parent) {
    new Figure(parent, {
      id: 'timeline-step',
      title: 'Streams and links during a step',
      content: ganttContent,
      choices: [
        {
          name: 'run',
          label: 'Run',
          options: () => runsWithTimeline().map(
              (cell, i) =>
                  [i,
                   cell.source.points.length > 1 ?
                       `${cell.strategy}, ${cell.source.points[cell.point].label}` :
                       cell.strategy])
        },
        {name: 'step', label: 'Step', options: (chosen) => stepChoices(runOf(chosen))}
      ]
    });
  },
};
