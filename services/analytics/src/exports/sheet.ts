import type { Column, ColumnType, Row } from './columns.ts';

/** Styles of cells, as `styles` numbers them. */
const style = { heading: 1, text: 2, duration: 3, date: 4, instant: 5, score: 6 } as const;

/** A cell of Excel holds no more characters. */
const maxCellText = 32_767;
const dayMs = 86_400_000;
/** Days from Excel's day 0 to 1970-01-01. */
const epochDay = 25_569;

/** What needs more than to be copied: markup, control characters, and what reads like Excel's own way to write one. */
const special = /[&<>\ufffe\uffff]|[^\P{Cc}\t\n]|_x[0-9A-Fa-f]{4}_/u;
const hex = (c: string): string => `_x${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}_`;

/** As XML that a spreadsheet shows as the text was; line ends in the one form that spreadsheets know. */
export function xmlText(given: string): string {
  let text = given.length > maxCellText ? `${given.slice(0, maxCellText - 1)}…` : given;
  if (!text.isWellFormed()) text = text.toWellFormed();
  if (!special.test(text)) return text;
  return text
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_')
    .replaceAll(/[^\P{Cc}\t\n]|[\ufffe\uffff]/gu, hex)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}

// The style says "text", so that a cell that begins with = stays one when somebody edits it, too.
const textCell = (text: string, s: number = style.text): string =>
  ` s="${s}" t="inlineStr"><is><t xml:space="preserve">${xmlText(text)}</t></is></c>`;
const numberCell = (value: number, s?: number): string =>
  s === undefined ? `><v>${value}</v></c>` : ` s="${s}"><v>${value}</v></c>`;

/** All of a cell behind its place. */
const cells: Record<ColumnType, (value: unknown) => string> = {
  text: (value) => textCell(value as string),
  date: (value) => numberCell(Date.parse(value as string) / dayMs + epochDay, style.date),
  instant: (value) => numberCell((value as number) / dayMs + epochDay, style.instant),
  seconds: (value) => numberCell((value as number) / 86_400, style.duration),
  count: (value) => numberCell(value as number),
  score: (value) => numberCell(value as number, style.score),
  flag: (value) => ` t="b"><v>${value ? 1 : 0}</v></c>`,
  list: (value) => textCell((value as string[]).join(', ')),
  fields: (value) => textCell(value as string),
};

const widths: Record<ColumnType, number> = {
  text: 24,
  date: 12,
  instant: 22,
  seconds: 14,
  count: 14,
  score: 10,
  flag: 8,
  list: 24,
  fields: 40,
};

/** `A`, `B` … `Z`; no export has more columns. */
const letters = (columns: readonly Column[]): string[] => columns.map((_, i) => String.fromCharCode(65 + i));

const declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const relationships = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const packaged = 'http://schemas.openxmlformats.org/package/2006/relationships';
const types = 'application/vnd.openxmlformats-officedocument.spreadsheetml';

/** The beginning of a sheet: its heading stays in sight. */
export function sheetHead(columns: readonly Column[]): string {
  const at = letters(columns);
  const cols = columns.map(
    ({ type }, i) => `<col min="${i + 1}" max="${i + 1}" width="${widths[type]}" customWidth="1"/>`,
  );
  const names = columns.map(({ name }, i) => `<c r="${at[i]}1"${textCell(name, style.heading)}`);
  return `${declaration}<worksheet xmlns="${main}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols>${cols.join('')}</cols><sheetData><row r="1">${names.join('')}</row>`;
}

export const sheetEnd = '</sheetData></worksheet>';

/** What writes rows of a sheet. @returns XML of rows, the first of which is row `first` of the sheet. */
export function rowWriter(columns: readonly Column[]): (rows: readonly Row[], first: number) => string {
  const at = letters(columns).map((letter) => `<c r="${letter}`);
  const write = columns.map(({ type }) => cells[type]);
  return (rows, first) => {
    let xml = '';
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      const n = first + i;
      xml += `<row r="${n}">`;
      for (let j = 0; j < write.length; j++) {
        const value = row[j];
        if (value !== null && value !== undefined) xml += `${at[j]}${n}"${write[j]!(value)}`;
      }
      xml += '</row>';
    }
    return xml;
  };
}

export const sheetPath = (n: number): string => `xl/worksheets/sheet${n}.xml`;

/** All parts of a workbook but its sheets. The first does without their number, for it stands at the beginning of the file. */
export const contentTypes = `${declaration}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="${types}.worksheet+xml"/><Override PartName="/xl/workbook.xml" ContentType="${types}.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="${types}.styles+xml"/></Types>`;

export function workbookParts(name: string, sheets: number): Record<string, string> {
  const numbers = Array.from({ length: sheets }, (_, i) => i + 1);
  const title = (n: number): string => xmlText(n === 1 ? name : `${name} ${n}`);
  return {
    '_rels/.rels': `${declaration}<Relationships xmlns="${packaged}"><Relationship Id="rId1" Type="${relationships}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    'xl/workbook.xml': `${declaration}<workbook xmlns="${main}" xmlns:r="${relationships}"><sheets>${numbers
      .map((n) => `<sheet name="${title(n)}" sheetId="${n}" r:id="rId${n}"/>`)
      .join('')}</sheets></workbook>`,
    'xl/_rels/workbook.xml.rels': `${declaration}<Relationships xmlns="${packaged}">${numbers
      .map((n) => `<Relationship Id="rId${n}" Type="${relationships}/worksheet" Target="worksheets/sheet${n}.xml"/>`)
      .join(
        '',
      )}<Relationship Id="rId${sheets + 1}" Type="${relationships}/styles" Target="styles.xml"/></Relationships>`,
    'xl/styles.xml': styles,
  };
}

const font = (bold: string): string => `<font>${bold}<sz val="11"/><name val="Calibri"/></font>`;
const format = (numFmtId: number, fontId = 0): string =>
  `<xf numFmtId="${numFmtId}" fontId="${fontId}" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"${fontId ? ' applyFont="1"' : ''}/>`;
// 49 is text, and 46 would be [h]:mm:ss but for readers that do not know it by its number.
const styles = `${declaration}<styleSheet xmlns="${main}"><numFmts count="4"><numFmt numFmtId="164" formatCode="[h]:mm:ss"/><numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd"/><numFmt numFmtId="166" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/><numFmt numFmtId="167" formatCode="0.0"/></numFmts><fonts count="2">${font('')}${font('<b/>')}</fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="7">${[
  format(0),
  format(0, 1),
  format(49),
  format(164),
  format(165),
  format(166),
  format(167),
].join('')}</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>`;
