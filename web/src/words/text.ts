/** A text of the page, or one form for each plural category of its language. */
export type Text = string | Partial<Record<Intl.LDMLPluralRule, string>>;
