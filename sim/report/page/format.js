// Numbers as text, with their units. Values are in SI units (s, B, J) and shares of 1 wherever the page computes.
'use strict';

// Of each kind: factors and the units that they make, largest first.
const SCALES = {
  time: [[1, 's'], [1e-3, 'ms'], [1e-6, 'us'], [1e-9, 'ns']],
  bytes: [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB'], [1, 'B']],
  byterate: [[1e12, 'TB/s'], [1e9, 'GB/s'], [1e6, 'MB/s'], [1e3, 'kB/s'], [1, 'B/s']],
  rate: [[1, 'tokens/s']],
  share: [[0.01, '%']],
  ratio: [[1, 'x']],
  energy: [[1e3, 'kJ'], [1, 'J'], [1e-3, 'mJ']],
  power: [[1e3, 'kW'], [1, 'W']],
  price: [[1, 'USD']],
  number: [[1, '']],
};

// What the numbers of a CSV are in.
const CSV_UNITS = {
  time: 's',
  bytes: 'B',
  byterate: 'B/s',
  rate: 'tokens/s',
  energy: 'J',
  power: 'W',
  price: 'USD',
  share: 'share of 1',
};

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

/** The scale whose unit reads best for values up to `magnitude`. */
function scaleFor(kind, magnitude) {
  const scales = SCALES[kind] ?? SCALES.number;
  return scales.find(([factor]) => Math.abs(magnitude) >= factor) ?? scales[scales.length - 1];
}

const plain = (value, digits) => value.toLocaleString('en', {maximumSignificantDigits: digits});

/** "21.2 ms"; a dash where there is no number. */
function quantity(kind, value, digits = 3) {
  if (!isNumber(value)) return '-';
  const [factor, unit] = scaleFor(kind, value);
  const text = plain(value / factor, digits);
  return unit === 'x' ? `${text}x` : unit ? `${text} ${unit}` : text;
}

/** "1.8x [1.6, 2.0]", in one unit; without the interval where there is none. */
function withInterval(kind, value, low, high, digits = 3) {
  if (!isNumber(value)) return '-';
  if (!isNumber(low) || !isNumber(high)) return quantity(kind, value, digits);
  const [factor, unit] = scaleFor(kind, value);
  const text = [value, low, high].map((number) => plain(number / factor, digits));
  return unit === 'x' ? `${text[0]}x [${text[1]}, ${text[2]}]` :
                        `${text[0]} [${text[1]}, ${text[2]}] ${unit}`.trim();
}

/** "Time per token (ms)". */
const withUnit = (name, unit) => unit && unit !== 'x' ? `${name} (${unit})` : name;

const csvField = (value) => {
  const text = value === null || value === undefined || Number.isNaN(value) ? '' : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Rows as CSV; the head names the units. @param table {columns: [{name, kind}], rows: [[value]]} */
function asCsv(table) {
  const head = table.columns.map(({name, kind}) => CSV_UNITS[kind] ? `${name} (${CSV_UNITS[kind]})` : name);
  return [head, ...table.rows].map((row) => row.map(csvField).join(',')).join('\n') + '\n';
}

/** Makes an element: element('p', {class: 'note'}, 'text', child). */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on'))
      made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined && value !== null)
      made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}
