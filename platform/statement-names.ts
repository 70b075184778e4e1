/** Texts beyond this number are not prepared, because each connection keeps its prepared statements in memory. */
const MOST_NAMES = 300

/** At the end of a text: it is not prepared, because it has many variants, or because its plan depends on its values. */
export const UNPREPARED = '/* unprepared */'

/**
 * Names statements, so that PostgreSQL parses and plans each of them once for each connection instead of at every execution. The same text
 * always gets the same name.
 * @returns '' for statements that are not prepared
 */
export type StatementNames = (query: { sql: string }) => string

export function createStatementNames(): StatementNames {
  const names = new Map<string, string>()
  return ({ sql }) => {
    if (sql.endsWith(UNPREPARED)) return ''
    const known = names.get(sql)
    if (known !== undefined) return known
    if (names.size >= MOST_NAMES) return ''
    const name = `s${names.size + 1}`
    names.set(sql, name)
    return name
  }
}
