/** What the stand-in Second Me says: something friendly made of the prompt and the talk before it. */

const QUOTE_MAX = 120;

const UKRAINIAN = {
  greeting: 'Привіт! Радий тебе бачити в DAARION City.',
  question: (text: string) =>
    `Гарне запитання: «${text}». Поміркуймо над ним разом: що тут найважливіше для тебе?`,
  statement: (text: string) => `Я почув тебе: «${text}». Звучить цікаво, розкажи трохи більше!`,
  memory: (text: string) => `До речі, перед цим ти писав мені: «${text}».`,
  honesty: 'Поки що я тимчасовий Second Me середовища розробки, але вже памʼятаю нашу розмову.',
};

const ENGLISH: typeof UKRAINIAN = {
  greeting: 'Hello! Good to see you in DAARION City.',
  question: (text) =>
    `A good question: “${text}”. Let us think it over together: what matters most to you here?`,
  statement: (text) => `I hear you: “${text}”. That sounds interesting, tell me a little more!`,
  memory: (text) => `By the way, before this you wrote to me: “${text}”.`,
  honesty: 'For now I am the stand-in Second Me of the development setup, but I already remember our talk.',
};

/** A reply to `input` in its language (Ukrainian for Cyrillic script, else English); the same input, the same reply. */
export function composeReply(input: string, messages: readonly { role: string; content: string }[]): string {
  const phrases = /\p{Script=Cyrillic}/u.test(input) ? UKRAINIAN : ENGLISH;
  const previous = messages.findLast(({ role }) => role === 'user')?.content;
  const say = input.trim().endsWith('?') ? phrases.question : phrases.statement;
  return [
    ...(messages.length === 0 ? [phrases.greeting] : []),
    say(quote(input)),
    previous?.trim() ? phrases.memory(quote(previous)) : phrases.honesty,
  ].join(' ');
}

/** One line of at most 120 characters, cut between characters. */
function quote(text: string): string {
  const characters = [...text.trim().replace(/\s+/g, ' ')];
  return characters.length <= QUOTE_MAX ? characters.join('') : `${characters.slice(0, QUOTE_MAX).join('')}…`;
}
