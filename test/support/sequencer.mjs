/** The order of the test files: the chaos last, so that the others are through and it has the machine to itself. */
import Sequencer from '@jest/test-sequencer';

export default class ChaosLast extends Sequencer {
  sort(tests) {
    const isChaos = ({ path }) => path.includes('/test/chaos/');
    const others = super.sort(tests.filter((test) => !isChaos(test)));
    return [...others, ...tests.filter(isChaos)];
  }
}
