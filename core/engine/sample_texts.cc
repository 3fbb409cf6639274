#include "core/engine/sample_texts.h"

namespace contexture {
namespace {

constexpr absl::string_view kTexts[] = {
    // Words and questions, as people search.
    "hello",
    "invoice 2023",
    "Thank you!",
    "cheap flights to Oslo in March",
    "how to remove rust from a bicycle chain",
    "symptoms of a vitamin D deficiency",
    "What is the capital of Mongolia?",
    "Why does my code compile but crash at run time?",
    "can i return shoes without the receipt",
    "best beginner guitar under 200",
    "Is it safe to eat raw mushrooms?",
    "weather tomorrow",
    "Who signed the treaty, and when did it end?",
    "convert 12 miles to kilometres",
    // Sentences.
    "The cat sleeps on the warm roof of the car.",
    "Our train was forty minutes late, so we missed the ferry to the island.",
    "The board approved the merger yesterday; shareholders will vote in June.",
    "She plays the cello in a small orchestra and teaches on Saturdays.",
    "Heavy rain flooded the lower streets, but nobody was hurt.",
    "Add two cups of flour, a pinch of salt, and knead the dough until it is smooth.",
    "The patient was given 40 mg twice a day and felt better within a week.",
    "Their goalkeeper saved a penalty in the 89th minute and the match ended 1-1.",
    "I have asked three times for a refund. Please answer this time!",
    "A neutron star packs more mass than the Sun into the size of a city.",
    "The tenant shall return the keys no later than noon on the last day of the month.",
    "Not everything that shines is worth picking up, said the magpie.",
    "Prices of copper and nickel fell by 2.7 percent on Thursday.",
    "He opened the letter, read it twice, folded it, and said nothing at all.",
    "This phone has a good screen, a poor battery, and a camera that hates the dark.",
    "Bees find their way home by the position of the sun.",
    "WARNING: do not open the cover while the fan is turning!!!",
    "lol that was sooo funny, cant wait to see u again :-)",
    // Paragraphs.
    "The old harbour had been quiet for years. When the new bridge was built, ships stopped "
    "coming, and the warehouses along the quay stood empty. Then a group of carpenters rented the "
    "first of them, a baker took the second, and soon there was music on Friday nights. Today "
    "the city wants to sell the land, and the people who brought it back to life are asked to "
    "leave.",
    "Photosynthesis takes place in two stages. In the first, light splits water, releases "
    "oxygen, and charges small carrier molecules. In the second, these carriers are spent to turn "
    "carbon dioxide into sugar. The second stage needs no light by itself, but stops soon after "
    "dark, since nothing charges the carriers any more.",
    "Dear Ms Lindqvist, we received your application of 14 May and would like to invite you to "
    "an interview on Tuesday at 10:30. Please bring two references and a copy of your "
    "certificate. If the date does not suit you, call us at extension 417. Kind regards, the "
    "personnel office.",
    "To reset the device, hold the button on its back for ten seconds until the light blinks "
    "red. Wait a minute. Then connect it to your computer and start the set-up program, which "
    "will ask for the number printed below the bar code. If the light stays red, the memory is "
    "damaged and the device must be replaced.",
    "Interest rates affect families in different ways. Those with savings earn more when rates "
    "rise; those with a loan pay more each month. Because wages follow prices only slowly, a rise "
    "of one point can cost a household with a large mortgage several hundred a month, while the "
    "same rise hardly changes the income of a retired couple.",
    "We compared three ways of watering tomatoes over two summers. Drip lines used a third less "
    "water than sprinklers and gave the same harvest (4.1 against 4.0 kg for each plant). "
    "Watering by hand used the least, but two of the twelve beds dried out while the gardeners "
    "were away. We found no difference in taste.",
    "The museum tells the story of the valley from the first farmers to the closing of the last "
    "mine. In the cellar a model of the shafts, built by the miners themselves, shows how far "
    "they reached under the town: nearly nine kilometres of tunnels on five levels, with pumps "
    "that had to run day and night. Children may ride the small railway in the yard. The museum "
    "is open from April to October, every day but Monday, and entry is free on the first Sunday "
    "of each month. Guided tours start at eleven and at three; groups of more than ten should "
    "write a week before. Dogs have to stay outside, but there is water for them at the gate. "
    "The café closes half an hour before the museum does.",
    "A hash table keeps pairs of keys and values. A function turns each key into a number, and "
    "the number says in which bucket the pair is looked for. As long as the function spreads the "
    "keys well and there are enough buckets, finding a pair takes the same time however many "
    "there are. When the table becomes too full, a larger one is made and all pairs move, which "
    "is slow but seldom needed, so that the cost of an insertion is small on average. Two keys "
    "may get the same number. Some tables then keep a list in the bucket, others try the next "
    "bucket, and the next, until one is free. The second way suits caches better, but removing "
    "a pair takes care: an empty bucket in the middle of a run would hide those behind it.",
    // Other languages.
    "Der Vertrag endet am 31. Dezember, wenn er nicht vorher gekündigt wird.",
    "Könnten Sie mir bitte sagen, wo die nächste Apotheke ist?",
    "Le marché a lieu tous les samedis sur la place de l'église.",
    "Je n'ai pas reçu ma commande, pouvez-vous vérifier l'adresse ?",
    "El ayuntamiento abrirá una nueva biblioteca en el barrio antiguo.",
    "¿Cuánto cuesta un billete de ida y vuelta?",
    "Il treno per Bologna parte dal binario sette.",
    "A reunião foi adiada para a próxima semana.",
    "De fietsen staan achter het station, naast de oude kerk.",
    "W lesie pachniało deszczem i mokrą ziemią.",
    "Mağaza pazar günleri kapalıdır.",
    "Библиотека закрыта на ремонт до конца месяца.",
    "Η πτήση ακυρώθηκε λόγω ομίχλης.",
    "المطعم مفتوح كل يوم حتى منتصف الليل.",
    "यह सड़क पहाड़ के ऊपर गाँव तक जाती है।",
    "图书馆在学校的左边，星期天不开门。",
    "駅の前に新しい本屋ができました。",
    "우리는 내일 아침 일찍 산에 올라갈 거예요.",
    // Code, numbers, tables.
    "def mean(values):\n    if not values:\n        return None\n    return sum(values) / "
    "len(values)",
    "SELECT city, COUNT(*) FROM orders WHERE total > 99.5 GROUP BY city ORDER BY 2 DESC;",
    "for (size_t i = 0; i < rows.size(); ++i) { if (rows[i] == nullptr) continue; use(*rows[i]); }",
    "{\"id\": 7041, \"tags\": [\"red\", \"large\"], \"price\": {\"amount\": 12.5, \"unit\": "
    "\"EUR\"}}",
    "2024-02-29T23:59:58Z ERROR worker-3 timeout after 30000 ms (attempt 4 of 5)",
    "3.14159 2.71828 1.41421 0.57722 | -40 C = -40 F | 0x1F4A9 | 50% of 1,250 = 625",
};

}  // namespace

absl::Span<const absl::string_view> SampleTexts() { return kTexts; }

}  // namespace contexture
