// Puts the page together.
'use strict';

const SECTIONS = [
  overviewSection, strategiesSection, batchSection, capacitySection, tailsSection, paretoSection,
  scalingSection, tornadoSection, ganttSection, deduplicationSection
];

let model;

function notesSection(parent) {
  const section = element('section', {id: 'notes'}, element('h2', {}, 'Notes'));
  for (const source of model.sources)
    for (const file of source.files) {
      const facts = file.routing ?
          [
            `${file.scenario}: ${file.model} on ${file.platform}, seed ${file.seed}`,
            `routing: ${file.routing}`
          ] :
          [`study ${file.study}, ${file.design}, baseline ${file.baseline}`];
      section.append(element('p', {}, `${file.file} (specmoe ${file.specmoe}): ${facts.join('; ')}.`));
      if (file.notes?.length)
        section.append(element('ul', {}, ...file.notes.map((note) => element('li', {}, note))));
      if (file.unverified?.length)
        section.append(element(
            'details', {},
            element('summary', {}, `${file.unverified.length} numbers of the platform are not verified`),
            element('ul', {}, ...file.unverified.map((text) => element('li', {}, text)))));
    }
  parent.append(section);
}

function start(page) {
  model = buildModel(page);
  const main = document.getElementById('main'), contents = document.getElementById('contents');
  const title = model.sources.map((source) => source.title).join(', ') || page.live.scenario;
  document.title = `${title}: SpecMoE report`;
  document.getElementById('title').textContent = title;
  const updates = [], absent = [];
  const update = () => {
    updates.forEach((change) => change?.());
    figures.forEach((figure) => figure.update());
  };
  if (page.live?.description) document.getElementById('subtitle').textContent = page.live.description;
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  buildFilters(document.getElementById('filter-groups'), update);
  const shown = [...(page.live ? [exploreSection] : []), ...(model.sources.length ? SECTIONS : [])];
  for (const {id, title: name, short, missing, build} of shown) {
    const why = missing();
    if (why) {
      absent.push(element('li', {}, `${name}: ${why}.`));
      continue;
    }
    const section =
        element('section', {id, 'aria-labelledby': `${id}-title`}, element('h2', {id: `${id}-title`}, name));
    main.append(section);
    contents.append(element('a', {href: `#${id}`}, short ?? name));
    const body = element('div', {class: id === 'overview' ? '' : 'figures'});
    section.append(body);
    updates.push(build(body));
  }
  if (absent.length)
    main.append(element(
        'section', {id: 'absent'}, element('h2', {}, 'Not in this data'), element('ul', {}, ...absent)));
  if (model.sources.length) notesSection(main);
  document.getElementById('footer').textContent = page.live ?
      `Served by specmoe ${page.specmoe} on this machine; it asks no other.` :
      `Written by specmoe ${page.specmoe}. Everything is in this file; it asks no network.`;
  watchTheme(document.getElementById('theme'), update);
  // Labels wrap by the width, which a turned phone changes.
  let narrow = innerWidth < 600;
  addEventListener('resize', () => {
    if (narrow === innerWidth < 600) return;
    narrow = !narrow;
    update();
  });
  globalThis.specmoePage = {model, figures};
}

start(JSON.parse(document.getElementById('data').textContent));
