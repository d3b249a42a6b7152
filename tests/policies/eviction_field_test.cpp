// A textbook example for each policy of the field and of the seed.
#include "tests/policies/slots.hpp"

using namespace specmoe;
using namespace specmoe::testing;

TEST_CASE("lfu-ageing: a halving lets new favourites overtake old ones") {
  // A is used 4 times, then B 3 times. LFU drops B for C. Halved after the first 4 accesses A counts 2, B 3: A leaves.
  const std::string accesses = "AAAABBBC";
  CHECK(Slots("lfu", 2).run(accesses).back() == 'B');
  CHECK(Slots("lfu-ageing", 2, "", 1, with("period", 4)).run(accesses).back() == 'A');
}

TEST_CASE("lfu-ageing: halved a thousand times the order is as it was") {
  // A use counts 2^1000 times the first: beyond what a double holds, were the counts not scaled back.
  Slots slots("lfu-ageing", 3, "", 1, with("period", 1));
  std::string accesses;
  for (int i = 0; i < 500; ++i) accesses += "ABC";
  slots.run(accesses + "BCA");
  CHECK(slots.victim() == 'B');
  CHECK(slots.victim("B") == 'C');
}

TEST_CASE("lfru: what falls out of the privileged half leaves by frequency") {
  // Four slots, two privileged. A twice, B, C, D once: C, D are privileged; of A and B, B was used less.
  Slots slots("lfru", 4);
  slots.run("AABCD");
  CHECK(slots.victim() == 'B');
  CHECK(slots.victim("B") == 'A');
  CHECK(slots.victim("AB") == 'C');  // of the privileged by recency
  slots.run("B");                    // is privileged again, and C falls: of A (2) and C (1) C leaves
  CHECK(slots.victim() == 'C');
}

TEST_CASE("victim: a layer's overflow waits in the buffer, and a use brings it back for the layer's oldest") {
  // Layer 0 has A C E G .., layer 1 has B D ..; 5 slots, a fifth of them the buffer: 2 a layer and 1.
  Slots slots("victim", 5, "", 1, with("buffer", 0.2), 2);
  CHECK(slots.run("BDACE") == ".....");  // layer 0 overflows: A is in the buffer
  CHECK(slots.run("A") == "+");          // back in its share, C in the buffer
  CHECK(slots.victim() == 'C');
  CHECK(slots.run("G") == "C");  // a miss in layer 0; E, its oldest, is in the buffer
  CHECK(slots.victim() == 'E');
  CHECK(slots.victim("E") == 'B');  // else by recency over all
}

TEST_CASE("victim: layers keep their share whatever the others do") {
  // LRU over 5 slots would have lost B and D of layer 1 to the five experts of layer 0.
  Slots slots("victim", 5, "", 1, with("buffer", 0.2), 2);
  slots.run("BDACEGIK");
  CHECK(slots.run("BD") == "++");
  Slots lru("lru", 5, "", 1, {}, 2);
  lru.run("BDACEGIK");
  CHECK(lru.run("BD").find('+') == std::string::npos);
}

TEST_CASE("three-level: a miss enters the third level and each use after it lifts by one") {
  Slots slots("three-level", 5);  // 2, 2 and 1 slots; the third also has what the others do not fill
  slots.run("ABCDE");
  CHECK(slots.victim() == 'A');
  slots.run("A");  // second: A; third: B C D E
  CHECK(slots.victim() == 'B');
  slots.run("AEE");  // first: A E; third: B C D
  CHECK(slots.victim("BCD") == 'A');
  CHECK(slots.run("F") == "B");
  CHECK(slots.victim("CD") == 'F');
}

TEST_CASE("three-level: a full level drops its oldest to the one below") {
  Slots slots("three-level", 5);
  slots.run("AAABBBCCC");  // each is lifted to the first, which holds two: A falls to the second
  CHECK(slots.victim() == 'A');
  CHECK(slots.victim("A") == 'B');
  slots.run("DDEE");  // D and E are lifted to the second: A falls to the third
  CHECK(slots.run("F") == "A");
}

TEST_CASE("three-level: the first use of what a prefetch brought is a hit and lifts it") {
  Slots slots("three-level", 5);
  slots.enter('A');
  slots.route("A");
  slots.run("AB");  // A in the second, B in the third
  CHECK(slots.victim() == 'B');
}

TEST_CASE("mrs: scores fade by 1 - alpha and grow by alpha times the gate's weight") {
  // alpha 0.5: A .8, B .2: S = .4, .1. Then C .6, B .4: A .2, B .05 + .2 = .25, C .3. A leaves, though B scored less once.
  Slots slots("mrs", 3, "", 1, with("alpha", 0.5));
  for (const char c : {'A', 'B', 'C'}) slots.enter(c);
  slots.route("AB", {0.8F, 0.2F});
  CHECK(slots.victim() == 'C');  // 0
  slots.route("CB", {0.6F, 0.4F});
  CHECK(slots.victim() == 'A');
  CHECK(slots.victim("A") == 'B');
  CHECK(slots.victim("AB") == 'C');
}

TEST_CASE("mrs: only the top scores of a token count") {
  ParameterValues top = with("alpha", 0.5);
  top.set("top", 1);
  Slots slots("mrs", 3, "", 1, top);
  for (const char c : {'A', 'B', 'C'}) slots.enter(c);
  slots.route("AB", {0.6F, 0.4F});
  CHECK(slots.victim() == 'B');  // 0 as C, and entered before it
}

TEST_CASE("mrs: without weights each chosen expert counts alike") {
  Slots slots("mrs", 2, "", 1, with("alpha", 0.5));
  slots.enter('A');
  slots.enter('B');
  slots.route("AC");  // A .25
  slots.route("BC");  // A .125, B .25
  CHECK(slots.victim() == 'A');
}

TEST_CASE("cost-aware: uses that low precision would have done count a quarter") {
  // Three layers, A D G J .. in layer 0, B E .. in layer 1. D twice, each time with .7 of the weight before it: low.
  // 2 x .25 = .5; A once, first in rank: 1.
  Slots slots("cost-aware", 4, "", 1, {}, 3);
  for (const char c : {'A', 'D', 'G', 'B'}) slots.enter(c);
  slots.route("AD", {0.7F, 0.3F});
  slots.route("GD", {0.7F, 0.3F});
  slots.route("JM", {0.5F, 0.5F});  // neither is held, so that none of the held was used in the last pass
  CHECK(slots.victim("B") == 'D');
  CHECK(slots.victim("BD") == 'A');  // A and G have 1; A was touched first
}

TEST_CASE("cost-aware: what the last pass used is kept until its turn, the nearer the more") {
  // Cost of all 1, and all used in the last pass of their layers. The present layer is 2: layer 2's own is at distance .1,
  // layer 0 at 1.1, layer 1 at 2.1: B leaves first.
  Slots slots("cost-aware", 3, "", 1, {}, 3);
  for (const char c : {'A', 'B', 'C'}) slots.enter(c);
  for (const char* c : {"A", "B", "C"}) slots.route(c);
  CHECK(slots.victim() == 'B');
  CHECK(slots.victim("B") == 'A');
  CHECK(slots.victim("AB") == 'C');
}

TEST_CASE("cost-aware: a new sequence starts the counts anew") {
  Slots slots("cost-aware", 2);
  slots.enter('A');
  slots.enter('B');
  for (int i = 0; i < 5; ++i) slots.route("A", {1.0F}, false, 0);
  slots.route("B", {1.0F}, false, 1);
  slots.route("C", {1.0F}, false, 1);  // now neither A nor B is of the last pass
  CHECK(slots.victim() == 'A');        // 0 against 1; else A had 5
}

TEST_CASE("static-prefill: after a prefill the least used by the prompt leaves, a guest before a resident") {
  Slots slots("static-prefill", 3);
  for (const char c : {'A', 'B', 'C'}) slots.enter(c);
  slots.start();
  for (const char* token : {"AD", "CD", "AE"}) slots.route(token, {}, true);  // A 2, C 1, D 2, E 1
  CHECK(slots.victim() == 'A');  // in prefill all are equal: by recency
  slots.route("DE");             // the first decoded token
  CHECK(slots.run("D") == "B");  // 0; D, of 2, stays from now on
  CHECK(slots.run("E") == "C");  // 1 as E, but E is only about to come
  CHECK(slots.victim() == 'E');  // the guest, of 1
  CHECK(slots.run("F") == "E");
  CHECK(slots.victim() == 'F');  // a guest of 0: one slot serves all misses
  CHECK(slots.held() == "ADF");
}

TEST_CASE("activation: the matched sequence says what is wanted, early layers before late ones") {
  // Two layers: A C E .. in layer 0, B D F .. in layer 1. So far three of four tokens went to A and B, one to C and D.
  Slots slots("activation", 4, "", 1, {}, 2);
  for (const char c : {'A', 'C', 'B', 'D'}) slots.enter(c);
  for (const char* use : {"A", "B", "A", "B", "A", "B", "C", "D"}) slots.route(use);
  // Its own shares, no other sequence has finished: A .75, C .25, and of layer 1 half: B .375, D .125.
  CHECK(slots.victim() == 'D');
  CHECK(slots.victim("D") == 'C');
  CHECK(slots.victim("CD") == 'B');
  // Another sequence: the first is the only one to match with, though this one goes to C.
  slots.route("C", {}, false, 1);
  CHECK(slots.victim("BD") == 'C');
}

TEST_CASE("plec: unwanted predictions leave first, then the least recent, then what is expected") {
  Slots slots("plec", 4);
  slots.run("ABCD");
  slots.policy().predicted(slots.letter('A'));
  slots.policy().predicted(slots.letter('D'));
  CHECK(slots.victim() == 'B');
  CHECK(slots.victim("BC") == 'A');
  slots.route("A");  // A comes true, D does not
  CHECK(slots.victim() == 'D');
  CHECK(slots.victim("D") == 'B');
  slots.policy().predicted(slots.letter('D'));  // expected again
  CHECK(slots.victim() == 'B');
}

TEST_CASE("plec: without a predictor it is LRU") {
  CHECK(Slots("plec", 3).run("ABCADEF") == Slots("lru", 3).run("ABCADEF"));
}

TEST_CASE("intelligent: frequency, recency and transitions add up") {
  // Weights .3 and .3, horizon 1 pass. A used in passes 1 and 2, B in pass 3, of C's in 4.
  ParameterValues values = with("horizon", 1);
  Slots slots("intelligent", 3, "", 1, values);
  for (const char c : {'A', 'B', 'C'}) slots.enter(c);
  for (const char* use : {"A", "A", "B", "C"}) slots.route(use);
  // A: .3 * 2/2 + .3 * e^-2 = .34; B: .3 * 1/2 + .3 * e^-1 = .26; C: .15 + .3 = .45.
  CHECK(slots.victim() == 'B');
  CHECK(slots.victim("B") == 'A');
  CHECK(slots.victim("AB") == 'C');
}

TEST_CASE("intelligent: what follows the present expert is kept") {
  // A C are layer 0's, B D layer 1's. A went on to B, C to D, each once. Only transitions count.
  ParameterValues values = with("frequency", 0);
  values.set("recency", 0);
  Slots slots("intelligent", 2, "", 1, values, 2);
  slots.enter('B');
  slots.enter('D');
  const auto pass = [&](int first, int second) {
    StepRouting step{2, 1, 1, 0, 2, {static_cast<std::int16_t>(first), static_cast<std::int16_t>(second)}};
    slots.policy().routed(step, 0);
    const char leaves = slots.victim();
    slots.policy().routed(step, 1);
    return leaves;
  };
  pass(0, 0);
  pass(1, 1);
  CHECK(pass(0, 0) == 'D');
  CHECK(pass(1, 1) == 'B');
}
