// Numbers as a table and as CSV, and what is said to those who do not see the charts.
'use strict';

const say = (text) => {
  document.getElementById('live').textContent = text;
};

/** The table of a figure's numbers, for reading and as CSV. @param table {columns: [{name, kind}], rows} */
function tableView(table, name) {
  const copied = element('span', {class: 'note'});
  const copy = async () => {
    const text = asCsv(table);
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Where a page from a file may not use the clipboard directly.
      const area = element('textarea', {class: 'unseen'}, text);
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    copied.textContent = ' copied';
    say(`${table.rows.length} rows copied as CSV`);
  };
  const save = () => {
    const link = element('a', {
      href: URL.createObjectURL(new Blob([asCsv(table)], {type: 'text/csv'})),
      download: `${name}.csv`,
    });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const numeric = ({kind}) => kind !== undefined;
  return element(
      'div', {},
      element(
          'div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Numbers'},
          element(
              'table', {},
              element(
                  'thead', {},
                  element(
                      'tr', {},
                      ...table.columns.map(
                          (column) => element(
                              'th', {scope: 'col', class: numeric(column) && 'number'}, column.name)))),
              element(
                  'tbody', {},
                  ...table.rows.map(
                      (row) => element(
                          'tr', {},
                          ...row.map(
                              (value, i) => element(
                                  i ? 'td' : 'th', {
                                    scope: i ? undefined : 'row',
                                    class: numeric(table.columns[i]) && 'number'
                                  },
                                  numeric(table.columns[i]) ? quantity(table.columns[i].kind, value, 4) :
                                                              String(value ?? '')))))))),
      element('button', {type: 'button', class: 'copy', onclick: copy}, 'Copy as CSV'),
      element('button', {type: 'button', onclick: save}, 'Save as CSV'), copied);
}
